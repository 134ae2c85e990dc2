use std::io::Read as _;

use flate2::read::GzDecoder;

use super::*;
use crate::depot::{Place, S3};

struct Out {
    _folder: tempfile::TempDir,
    depot: Depot,
}

fn out() -> Out {
    let folder = tempfile::tempdir().unwrap();
    let source = config::Map::from([]);
    let s3 = S3::read(&mut config::Reader::new(&source));
    let depot = Depot::open(&Place::Directory(folder.path().to_owned()), &s3).unwrap();
    Out { _folder: folder, depot }
}

async fn text_of(depot: &Depot, name: &str) -> String {
    let bytes = depot.read_all(name).await.unwrap().unwrap();
    let mut text = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    text
}

#[tokio::test]
async fn a_file_is_full_by_addresses_or_by_bytes() {
    let out = out();
    let files = Url::parse("https://shop.example/").unwrap();
    let url = |number: usize| Url::parse(&format!("https://shop.example/offers/{number:03}?a=1&b=2")).unwrap();
    let day: DateTime<Utc> = "2026-01-15T00:00:00Z".parse().unwrap();

    let mut by_count = Sitemaps::begin(&out.depot, &files, "count".to_owned(), Limits { urls: 10, bytes: 1_000_000 });
    for number in 0..25 {
        by_count.add(&url(number), Some(day)).await.unwrap();
    }
    let (index, written) = by_count.end().await.unwrap();
    assert_eq!(written, Written { urls: 25, files: 3 });
    let names = files_of(&index);
    assert_eq!(names[2], "sitemap-count-00003.xml.gz");
    for (name, urls) in names.iter().zip([10, 10, 5]) {
        assert_eq!(text_of(&out.depot, name).await.matches("<url>").count(), urls);
    }
    assert!(
        text_of(&out.depot, &names[0]).await.contains("offers/000?a=1&amp;b=2</loc><lastmod>2026-01-15T00:00:00Z<")
    );

    let limit = 1_000;
    let mut by_bytes = Sitemaps::begin(&out.depot, &files, "bytes".to_owned(), Limits { urls: 1_000, bytes: limit });
    for number in 0..25 {
        by_bytes.add(&url(number), Some(day)).await.unwrap();
    }
    let (index, written) = by_bytes.end().await.unwrap();
    let entry =
        format!("<url><loc>{}</loc><lastmod>{}</lastmod></url>\n", escape(url(0).as_str()), super::written(day));
    let mut urls = 0;
    for (place, name) in files_of(&index).iter().enumerate() {
        let text = text_of(&out.depot, name).await;
        urls += text.matches("<url>").count();
        assert!(text.len() <= limit && text.ends_with(FOOT), "{} bytes", text.len());
        assert!(place + 1 == written.files || text.len() + entry.len() > limit, "a file is filled before the next one");
    }
    assert_eq!((urls, written.urls), (25, 25));
}

#[tokio::test]
async fn a_file_that_was_not_ended_is_not_there() {
    let out = out();
    let files = Url::parse("https://shop.example/").unwrap();
    let mut sitemaps = Sitemaps::begin(&out.depot, &files, "cut".to_owned(), Limits { urls: 2, bytes: 1_000_000 });
    for number in 0..5 {
        sitemaps.add(&Url::parse(&format!("https://shop.example/{number}")).unwrap(), None).await.unwrap();
    }
    drop(sitemaps);
    assert_eq!(out.depot.names().await.unwrap(), ["sitemap-cut-00001.xml.gz", "sitemap-cut-00002.xml.gz"]);
}
