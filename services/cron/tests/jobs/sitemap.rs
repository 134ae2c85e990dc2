use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::schema::addresses;
use crate::stage::Stage;

/// A shop whose pages are one merchant and `offers` offers, besides what must not be listed.
pub(crate) async fn fill(stage: &Stage, offers: i32) {
    stage
        .batch(&format!(
            "INSERT INTO merchants (id, name, network, campaign_id, tracking_template, allowed_hosts, landing_url, cashback_bps, active, updated_at)
             SELECT gen_random_uuid(), name, 'admitad', name, 'https://track.example/?s={{click_id}}', '{{shop.example}}',
                    'https://shop.example', 500, name <> 'closed', '2026-01-01' FROM unnest(ARRAY['open', 'closed']) AS name;
             INSERT INTO offers (id, merchant_id, title, target_url, active, expires_at, updated_at)
             SELECT gen_random_uuid(), m.id, 'offer', 'https://shop.example/p', n <> 0, CASE WHEN n = -1 THEN now() - interval '1 hour' END,
                    '2026-01-15T00:00:00Z'
             FROM merchants m, generate_series(-1, CASE m.name WHEN 'open' THEN {offers} ELSE 3 END) AS n"
        ))
        .await;
}

fn unpacked(bytes: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// The addresses of every file to which the index leads, the files by name.
fn pages(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, usize> {
    let index = String::from_utf8(files["sitemap.xml"].clone()).unwrap();
    let found = addresses(&index, "sitemapindex", "sitemap").unwrap();
    let one = |url: url::Url| {
        let name = url.path().trim_start_matches('/').to_owned();
        assert_eq!(url.host_str(), Some("shop.example"));
        let urls = addresses(&unpacked(&files[&name]), "urlset", "url").unwrap();
        assert!(urls.iter().all(|url| url.host_str() == Some("shop.example")));
        (name, urls.len())
    };
    found.into_iter().map(one).collect()
}

fn in_folder(stage: &Stage) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(stage.folder.path()).unwrap().map(Result::unwrap);
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

#[tokio::test]
async fn a_large_shop_is_split_as_the_protocol_demands() {
    let stage = Stage::set().await;
    let folder = stage.folder.path().display().to_string();
    let stage = stage.with("SITEMAP_STORE", &folder).with("SITEMAP_BASE_URL", "https://shop.example");
    fill(&stage, 50_001).await;
    assert_eq!(stage.run("sitemap").await, json!({"urls": 50_003, "files": 2, "removed": 0}));
    assert_eq!(pages(&in_folder(&stage)).into_values().collect::<Vec<_>>(), [50_000, 3]);
}

#[tokio::test]
async fn the_old_files_stand_until_nobody_reads_them() {
    let stage = Stage::set().await;
    let folder = stage.folder.path().display().to_string();
    let stage = stage.with("SITEMAP_STORE", &folder).with("SITEMAP_BASE_URL", "https://shop.example");
    fill(&stage, 60).await;
    let report = |removed: usize| json!({"urls": 62, "files": 1, "removed": removed});
    assert_eq!(stage.run("sitemap").await, report(0));
    let first = in_folder(&stage);
    // Twice in a row, and a third time.
    assert_eq!(stage.run("sitemap").await, report(0));
    let second = in_folder(&stage);
    assert!(first.keys().all(|name| second.contains_key(name)), "a crawler may be reading the first");
    assert!(pages(&second).keys().all(|name| !first.contains_key(name)));
    assert_eq!(stage.run("sitemap").await, report(1));
    let third = in_folder(&stage);
    assert_eq!(third.len(), 3);
    // A dry run writes nothing.
    let (well, said) = stage.say(&["run", "sitemap", "--dry-run"]);
    assert!(well && said.contains(r#""urls":62"#), "{said}");
    assert!(third == in_folder(&stage));
    // When a page last changed is told, for the page and for its file.
    let name = pages(&third).into_keys().next().unwrap();
    assert!(unpacked(&third[&name]).contains("<lastmod>2026-01-15T00:00:00Z</lastmod>"));
    assert!(String::from_utf8_lossy(&third["sitemap.xml"]).contains("<lastmod>2"));
}

#[tokio::test]
async fn a_run_that_is_killed_before_the_index_leaves_the_old_one_and_is_taken_over() {
    let (stage, bucket) = Stage::set().await.with_bucket();
    let stage = stage.with("SITEMAP_STORE", "s3://shop/maps").with("SITEMAP_BASE_URL", "https://shop.example");
    fill(&stage, 60).await;
    let under = |bucket: &crate::bucket::Bucket| -> BTreeMap<String, Vec<u8>> {
        let name = |(key, file): (String, Vec<u8>)| (key.strip_prefix("maps/").unwrap().to_owned(), file);
        bucket.files().into_iter().map(name).collect()
    };
    stage.run("sitemap").await;
    let before = under(&bucket);
    stage.kill_while_writing("sitemap", &bucket, "sitemap.xml").await;
    let after = under(&bucket);
    assert_eq!(after.len(), before.len() + 1, "the new file is there");
    assert_eq!(pages(&after), pages(&before), "and the index leads to the old one");
    assert_eq!(stage.take_over("sitemap").await, json!({"urls": 62, "files": 1, "removed": 1}));
    let ended = under(&bucket);
    assert_eq!(ended.len(), before.len() + 1, "what the killed run left is gone");
    assert_ne!(pages(&ended), pages(&before));
}
