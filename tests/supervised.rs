//! A service as systemd runs it: told when it is up, that it still runs, and that it is going.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use testkit::{Redis, Service};

/// The next message, within ten seconds.
fn hear(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 200];
    let length = socket.recv(&mut bytes).expect("a message within ten seconds");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn serial_systemd_hears_of_start_life_and_end() {
    let redis = Redis::start();
    let folder = std::env::temp_dir().join(format!("supervised-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let spool = folder.join("spool");
    let mut service = Service::start(
        "redirector",
        &[
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            ("REDIS_URL", &redis.url()),
            ("REDIRECT_SPOOL_DIR", spool.to_str().unwrap()),
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", "300000"),
        ],
    );
    assert!(hear(&socket).starts_with("READY=1"), "first of all, although Postgres is away");
    for _ in 0..3 {
        assert_eq!(hear(&socket), "WATCHDOG=1");
    }
    service.process().signal("TERM");
    let going = std::iter::repeat_with(|| hear(&socket)).find(|message| message != "WATCHDOG=1").unwrap();
    assert!(going.starts_with("STOPPING=1"), "{going}");
    std::fs::remove_dir_all(&folder).unwrap();
}
