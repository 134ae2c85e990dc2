use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::stage::Stage;

fn put(folder: &Path, name: &str, age_hours: u64) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(age_hours)).unwrap();
}

fn fill(folder: &Path) {
    put(folder, "slot-0/0000000000000001.damaged", 31 * 24);
    put(folder, "slot-0/0000000000000002.damaged", 24);
    put(folder, "slot-0/0000000000000003.clicks", 0);
    put(folder, "slot-0/lock", 1000);
    put(folder, "slot-1/0000000000000007.clicks", 40 * 24);
    put(folder, "slot-1/0000000000000007.pushed", 40 * 24);
    put(folder, "slot-1/0000000000000006.pushed", 40 * 24);
    put(folder, "something-else", 1000);
}

fn names(folder: &Path) -> Vec<String> {
    let slots = fs::read_dir(folder).unwrap().map(|slot| slot.unwrap().path()).filter(|path| path.is_dir());
    let files = slots.flat_map(|slot| fs::read_dir(slot).unwrap());
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const LEFT: [&str; 5] = [
    "0000000000000002.damaged",
    "0000000000000003.clicks",
    "0000000000000007.clicks",
    "0000000000000007.pushed",
    "lock",
];

#[tokio::test]
async fn damaged_files_go_after_a_month_and_clicks_never() {
    let stage = Stage::set().await;
    assert_eq!(stage.run("clean_spool").await, json!({"configured": false}));
    let folder = stage.folder.path().to_owned();
    let stage = stage.with("CRON_SPOOL_DIR", &folder.display().to_string());
    fill(&folder);
    assert_eq!(stage.run("clean_spool").await, json!({"stuck": 1, "damaged": 1, "removed": 2}));
    assert_eq!(names(&folder), LEFT);
    assert_eq!(stage.run("clean_spool").await, json!({"stuck": 1, "damaged": 1, "removed": 0}));
    assert_eq!(names(&folder), LEFT);
    assert_eq!(stage.alerts("Spooled clicks are not replayed").await, 1);
    fs::remove_file(folder.join("slot-1/0000000000000007.clicks")).unwrap();
    stage.run("clean_spool").await;
    assert_eq!(stage.alerts("Over: Spooled clicks are not replayed").await, 1);
}

#[tokio::test]
async fn a_run_that_is_killed_before_it_removes_is_taken_over() {
    let stage = Stage::set().await;
    let folder = stage.folder.path().to_owned();
    let stage = stage.with("CRON_SPOOL_DIR", &folder.display().to_string());
    fill(&folder);
    stage.kill_in_the_middle(&["clean_spool"], "LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE").await;
    assert_eq!(names(&folder).len(), 7);
    assert_eq!(stage.take_over("clean_spool").await["removed"], json!(2));
    assert_eq!(names(&folder), LEFT);
    assert_eq!(stage.alerts("Spooled clicks are not replayed").await, 1);
}
