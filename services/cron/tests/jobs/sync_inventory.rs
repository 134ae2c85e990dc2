use serde_json::json;
use std::io::Write as _;

use crate::stage::Stage;

async fn fill(stage: &Stage) {
    stage
        .batch(
            "INSERT INTO products (id, title, kind, face_value_paise, price_paise, sku) VALUES
                 ('00000000-0000-7000-8000-00000000000a', 'Kettle', 'physical', 100000, 90000, 'KETTLE'),
                 ('00000000-0000-7000-8000-00000000000b', 'Lamp', 'physical', 100000, 90000, NULL),
                 ('00000000-0000-7000-8000-00000000000c', 'Voucher', 'voucher', 50000, 48000, 'V-500');
             INSERT INTO voucher_codes (id, product_id, sealed)
             SELECT gen_random_uuid(), '00000000-0000-7000-8000-00000000000c', decode(repeat('00', 40), 'hex') FROM generate_series(1, 12)",
        )
        .await;
}

async fn stocks(stage: &Stage) -> Vec<(String, i32, i32)> {
    let sql = "SELECT title, stock, low_stock_at FROM inventory JOIN products ON id = product_id ORDER BY title";
    let rows = stage.client().await.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

fn of(rows: &[(&str, i32, i32)]) -> Vec<(String, i32, i32)> {
    rows.iter().map(|(title, stock, mark)| ((*title).to_owned(), *stock, *mark)).collect()
}

/// Serves what it was told to, to whoever shows the token.
fn serve(answers: Vec<(u16, &'static str)>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/stock", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let length = std::io::Read::read(&mut stream, &mut request).unwrap();
            let allowed = String::from_utf8_lossy(&request[..length]).to_lowercase().contains("bearer let-me-in");
            let (status, body) = if allowed { answers.next().unwrap_or((404, "")) } else { (401, "") };
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    url
}

#[tokio::test]
async fn stocks_follow_feeds_and_codes_and_a_broken_feed_changes_nothing() {
    let stage = Stage::set().await;
    fill(&stage).await;
    let file = stage.folder.path().join("lamps.csv");
    std::fs::write(&file, "product_id,stock,low_stock_at\n00000000-0000-7000-8000-00000000000B,40,20\nUNKNOWN,1,\n")
        .unwrap();
    let url = serve(vec![
        (200, r#"{"items": [{"sku": "KETTLE", "stock": 30}, {"sku": "V-500", "stock": 9999}]}"#),
        (200, r#"[{"sku": "KETTLE", "stock": 3}, {"sku": "V-500", "sto"#),
        (403, ""),
        (200, r#"[{"sku": "KETTLE", "stock": 3}]"#),
        (200, r#"[{"sku": "KETTLE", "stock": 3}]"#),
    ]);
    let stage = stage
        .with("INVENTORY_SOURCE_LAMPS", &file.display().to_string())
        .with("INVENTORY_SOURCE_ACME", &url)
        .with("INVENTORY_TOKEN_ACME", "let-me-in");

    let report = |broken, rows, changed, low, newly_low| json!({"sources": 2, "broken": broken, "rows": rows, "changed": changed, "low": low, "newly_low": newly_low});
    assert_eq!(stage.run("sync_inventory").await, report(0, 4, 3, 0, 0));
    let first = of(&[("Kettle", 30, 10), ("Lamp", 40, 20), ("Voucher", 12, 10)]);
    assert_eq!(stocks(&stage).await, first, "a voucher's stock is its codes");
    // Cut off in the middle, then refused: nothing of it is taken in, and it is told once.
    for _ in 0..2 {
        assert_eq!(stage.run("sync_inventory").await, report(1, 2, 0, 0, 0));
        assert_eq!(stocks(&stage).await, first);
    }
    assert_eq!(stage.alerts("The stock feed acme is broken").await, 1);
    // Whole again: told once, and what runs out as well.
    stage.batch("DELETE FROM voucher_codes WHERE id IN (SELECT id FROM voucher_codes LIMIT 5)").await;
    assert_eq!(stage.run("sync_inventory").await, report(0, 3, 2, 2, 2));
    assert_eq!(stage.run("sync_inventory").await, report(0, 3, 0, 2, 0));
    assert_eq!(stocks(&stage).await, of(&[("Kettle", 3, 10), ("Lamp", 40, 20), ("Voucher", 7, 10)]));
    assert_eq!(stage.alerts("Over: The stock feed acme is broken").await, 1);
    assert_eq!(stage.alerts("Products run out").await, 1);
}

#[tokio::test]
async fn a_run_that_is_killed_in_the_middle_of_a_feed_leaves_nothing_of_it_and_is_taken_over() {
    let stage = Stage::set().await;
    fill(&stage).await;
    let file = stage.folder.path().join("stock.csv");
    std::fs::write(&file, "sku,stock\nKETTLE,2\n00000000-0000-7000-8000-00000000000b,60\n").unwrap();
    let stage = stage.with("INVENTORY_SOURCE_FILE", &file.display().to_string());
    stage.kill_in_the_middle(&["sync_inventory"], "LOCK TABLE inventory_feeds IN ACCESS EXCLUSIVE MODE").await;
    assert!(stocks(&stage).await.is_empty());
    stage.take_over("sync_inventory").await;
    assert_eq!(stocks(&stage).await, of(&[("Kettle", 2, 10), ("Lamp", 60, 10), ("Voucher", 12, 10)]));
    assert_eq!(stage.alerts("Products run out").await, 1);
}
