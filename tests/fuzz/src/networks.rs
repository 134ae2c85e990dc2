//! What affiliate networks answer. The real client asks a server in this process, which answers what the fuzzer says: so HTTP,
//! decoding and every check in between are what they are in life.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};

use chrono::{DateTime, NaiveDate};
use config::Reader;
use domain::clock::SystemClock;
use domain::transaction::ReportedRow;
use networks::{AffiliateNetwork, Foundation, Settings, Window};
use outbound::oauth::MemoryTokenStore;

use crate::Pairs;

/// The networks' APIs as they can be configured, each with its settings.
const APIS: [&[(&str, &str)]; 7] = [
    &[("ADMITAD_CLIENT_ID", "client"), ("ADMITAD_CLIENT_SECRET", "secret")],
    &[("VCOMMISSION_API_KEY", "key")],
    &[("VCOMMISSION_API_KEY", "key"), ("VCOMMISSION_PATH", "/api/transactions"), ("VCOMMISSION_FORMAT", "json")],
    &[("VCOMMISSION_API_KEY", "key"), ("VCOMMISSION_PATH", "/api/transactions"), ("VCOMMISSION_FORMAT", "csv")],
    &[("VCOMMISSION_API_KEY", "key"), ("VCOMMISSION_PATH", "/api/transactions"), ("VCOMMISSION_FORMAT", "xml")],
    &[("CUELINKS_API_KEY", "key"), ("CUELINKS_API", "v3")],
    &[("CUELINKS_API_KEY", "key"), ("CUELINKS_API", "v2")],
];
const STATUSES: [&str; 5] =
    ["200 OK", "401 Unauthorized", "429 Too Many Requests", "302 Found", "500 Internal Server Error"];

/// What the server answers.
#[derive(Default)]
struct Said {
    status: usize,
    body: Vec<u8>,
}

struct World {
    said: Arc<Mutex<Said>>,
    runtime: tokio::runtime::Runtime,
    networks: Vec<Arc<dyn AffiliateNetwork>>,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let said = Arc::new(Mutex::new(Said::default()));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let answers = said.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = answers.clone();
                std::thread::spawn(move || serve(stream, &answers));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let networks = runtime.block_on(async { APIS.iter().map(|settings| network(&base, settings)).collect() });
        World { said, runtime, networks }
    })
}

fn network(base: &str, settings: &[(&'static str, &'static str)]) -> Arc<dyn AffiliateNetwork> {
    let mut pairs: Vec<_> = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    for name in ["ADMITAD_BASE_URL", "VCOMMISSION_BASE_URL", "CUELINKS_BASE_URL"] {
        pairs.push((name, base.to_owned()));
    }
    for name in ["ADMITAD_CALLS_PER_MINUTE", "VCOMMISSION_CALLS_PER_MINUTE", "CUELINKS_CALLS_PER_MINUTE"] {
        pairs.push((name, "1000000".to_owned()));
    }
    for (name, value) in
        [("PROVIDER_RETRY_ATTEMPTS", "1"), ("ADMITAD_RATE_LIMIT_WAIT_MS", "1"), ("FX_RATE_USD", "84.10")]
    {
        pairs.push((name, value.to_owned()));
    }
    let source = Pairs(pairs);
    let mut reader = Reader::new(&source);
    let settings = Settings::read(&mut reader);
    let settings = reader.finish(settings).expect("good settings");
    let foundation = Foundation { tokens: Arc::new(MemoryTokenStore::default()), clock: Arc::new(SystemClock) };
    networks::all(&settings, &foundation).expect("a client").pop().expect("one network")
}

/// Answers every request of a connection; a token is always given, so that what comes after it is reached.
fn serve(stream: TcpStream, said: &Mutex<Said>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut path, mut length) = (String::new(), 0);
        if reader.read_line(&mut path).ok()? == 0 {
            return None;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        reader.by_ref().take(length).read_to_end(&mut Vec::new()).ok()?;
        let answer = if path.contains("token") {
            answer(0, br#"{"access_token":"t","token_type":"bearer","expires_in":604800,"refresh_token":"r","scope":"statistics"}"#)
        } else {
            let said = said.lock().expect("a lock");
            answer(said.status, &said.body)
        };
        stream.write_all(&answer).ok()?;
    }
}

fn answer(status: usize, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        STATUSES[status],
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// `API QUESTION STATUS` as three characters, then the body. Whatever is believed is whole.
pub fn answer_to(data: &[u8]) {
    let [api, question, status, body @ ..] = data else { return };
    let world = world();
    let choose = |byte: &u8, of: usize| usize::from(byte.wrapping_sub(b'0')) % of;
    // Mostly answers that are read.
    let status = if choose(status, 16) < STATUSES.len() { choose(status, 16) } else { 0 };
    *world.said.lock().expect("a lock") = Said { status, body: body.to_vec() };
    let network = &world.networks[choose(api, APIS.len())];
    let window = if network.tells_updates() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        Window::UpdatedSince { from: at(1_786_000_000), to: at(1_786_086_400) }
    } else {
        let day = |day| NaiveDate::from_ymd_opt(2026, 8, day).expect("a day");
        Window::ActionDates { from: day(13), to: day(14) }
    };
    let rows = world.runtime.block_on(async {
        match choose(question, 4) {
            0 => {
                let page = network.page(window, None).await.ok()?;
                if let Some(next) = &page.next {
                    let _any_answer = network.page(window, Some(next)).await;
                }
                assert_eq!(page.rows.len(), page.check.len(), "every row counts in the sums");
                Some(page.rows)
            }
            1 => {
                let _any_answer = network.aggregate(window).await;
                None
            }
            2 => network.by_id("700000001").await.ok(),
            _ => network.by_sub_id("01981b1e7a4c7cc28f3e0d9a5c1b2e4f").await.ok(),
        }
    });
    for row in rows.into_iter().flatten() {
        match row {
            ReportedRow::Transaction(row) => {
                assert!(!row.external_id.trim().is_empty() && row.external_id.len() <= 512);
                assert!(row.commission.get() >= 0 && row.sale.is_none_or(|sale| sale.get() >= 0), "{row:?}");
                assert!(row.sub_ids.iter().all(|sub_id| !sub_id.value.is_empty()));
                storable(&row.raw);
            }
            ReportedRow::Quarantined(row) => storable(&row.raw),
        }
    }
}

/// Postgres takes it as `jsonb`.
fn storable(raw: &str) {
    serde_json::from_str::<serde_json::Value>(raw).expect("a kept row is JSON");
    assert!(!raw.contains("\\u0000") && !raw.contains('\0'), "{raw}");
}
