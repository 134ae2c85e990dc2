//! Who is not written to: put on the list and taken off it, by the command line and by the console.

use std::process::Command;

use domain::contact::{EmailAddress, Mobile};
use store::notifications::Channel;
use store::suppressions::{self, AddressHash};
use testkit::binary;

use crate::stage::Stage;

/// `admin` with these arguments; gives whether it ended well, and what it said.
fn say(stage: &Stage, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(binary("admin"));
    let output = command.env("DATABASE_URL", stage.database.url()).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// What is stopped to an address: category and reason.
async fn stopped(stage: &Stage, channel: Channel, hash: AddressHash) -> Vec<(String, String)> {
    let client = stage.pool.get().await.unwrap();
    let entries = suppressions::of_address(&client, channel, &hash).await.unwrap();
    entries.into_iter().map(|entry| (entry.category, entry.reason)).collect()
}

fn entry(category: &str, reason: &str) -> (String, String) {
    (category.to_owned(), reason.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_to_an_address_are_stopped_and_let_through_by_the_command_line() {
    let stage = Stage::start().await;
    let mail = AddressHash::from(&"asha@example.in".parse::<EmailAddress>().unwrap());
    let number = AddressHash::from("+919800000001".parse::<Mobile>().unwrap());
    for wrong in [
        &["suppress", "asha@example", "--reason", "she asked"][..],
        &["suppress", "12345", "--reason", "she asked"],
        &["suppress", "asha@example.in", "--reason", " "],
        &["suppress", "asha@example.in"],
        &["suppress", "asha@example.in", "--category", "news", "--reason", "she asked"],
    ] {
        assert!(!say(&stage, wrong).0, "{wrong:?}");
    }
    let stop = ["suppress", "Asha@Example.in", "--reason", "she asked for it"];
    let (well, said) = say(&stage, &stop);
    assert!(well && said.contains("are stopped") && !said.contains("sha@"), "{said}");
    let (well, said) = say(&stage, &stop);
    assert!(well && said.contains("were stopped before"), "{said}");
    assert!(say(&stage, &["suppress", "98000 00001", "--category", "reminder", "--reason", "she asked"]).0);
    assert_eq!(stopped(&stage, Channel::Email, mail).await, [entry("all", "she asked for it")]);
    assert_eq!(stopped(&stage, Channel::Sms, number).await, [entry("reminder", "she asked")]);

    let (well, said) =
        say(&stage, &["unsuppress", "asha@example.in", "--category", "money", "--reason", "she wants them"]);
    assert!(well && said.contains("no such messages"), "{said}");
    let (well, said) = say(&stage, &["unsuppress", "asha@example.in", "--reason", "she wants them"]);
    assert!(well && said.contains("go out again") && said.contains("she asked for it"), "{said}");
    assert!(stopped(&stage, Channel::Email, mail).await.is_empty());
    assert_eq!(stopped(&stage, Channel::Sms, number).await.len(), 1, "the number is another matter");

    let deeds: Vec<_> = stage.audit().await.into_iter().filter(|(action, ..)| action.starts_with("suppress")).collect();
    let words: Vec<_> = deeds.iter().map(|(action, ..)| action.as_str()).collect();
    assert_eq!(words, ["suppression.remove", "suppression.add", "suppression.add"], "what changed nothing is no deed");
    assert_eq!(deeds[0].2, "she wants them");
    let client = stage.database.client().await;
    let known = "SELECT count(*) FROM audit_logs a WHERE a::text LIKE '%asha%' OR a::text LIKE '%9800000001%'";
    assert_eq!(client.query_one(known, &[]).await.unwrap().get::<_, i64>(0), 0, "the log names nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_finds_an_address_by_itself_alone_and_changes_what_is_held_back() {
    let stage = Stage::start().await;
    let (operator, viewer) = (stage.person("operator").await, stage.person("viewer").await);
    let mail = AddressHash::from(&"asha@example.in".parse::<EmailAddress>().unwrap());
    let found = "/admin/suppressions?q=asha%40example.in";
    let page = viewer.get(found).await;
    assert!(page.contains("Nothing is held back") && !page.contains("Hold back</button>"), "{page}");
    let wrong = viewer.request(reqwest::Method::GET, "/admin/suppressions?q=asha").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let address = ("address", "asha@example.in");
    let form = [address, ("category", "reminder"), ("reason", "she asked")];
    let page = operator.act("/admin/suppressions", &form).await;
    assert!(page.contains("are held back") && page.contains("she asked"), "{page}");
    operator.act("/admin/suppressions", &form).await;
    assert_eq!(stopped(&stage, Channel::Email, mail).await, [entry("reminder", "she asked")]);
    assert!(viewer.get(found).await.contains("she asked"));
    let bad = [address, ("category", "everything"), ("reason", "she asked")];
    assert_eq!(operator.post("/admin/suppressions", &bad).await.status(), 400);
    let form = [address, ("category", "reminder"), ("reason", "she wants them")];
    assert_eq!(viewer.post("/admin/suppressions/remove", &form).await.status(), 403);
    let page = operator.act("/admin/suppressions/remove", &form).await;
    assert!(page.contains("go out again") && page.contains("Nothing is held back"), "{page}");
    let deeds: Vec<_> = stage.audit().await.into_iter().map(|(action, ..)| action).collect();
    assert_eq!(deeds.iter().filter(|action| action.starts_with("suppression.")).count(), 2, "{deeds:?}");
}
