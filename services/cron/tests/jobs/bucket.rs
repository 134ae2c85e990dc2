//! A small S3-compatible store in memory: whole and in parts, read, listed, deleted. Only signed requests are let in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use actix_web::http::Method;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};

#[derive(Default)]
struct Kept {
    files: BTreeMap<String, Vec<u8>>,
    parts: BTreeMap<(String, u32), Vec<u8>>,
    uploads: u32,
    /// Writes of this file are received and never answered.
    stuck: Option<String>,
    /// How many of them came.
    waiting: u32,
}

/// The store, with one bucket for whatever name.
#[derive(Clone)]
pub(crate) struct Bucket {
    kept: Arc<Mutex<Kept>>,
    pub(crate) url: String,
}

impl Bucket {
    pub(crate) fn open() -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let data = web::Data::new(kept.clone());
        // A thread and a runtime of its own: it answers also while the test waits for a process.
        std::thread::spawn(move || {
            let server = HttpServer::new(move || {
                App::new()
                    .app_data(data.clone())
                    .app_data(web::PayloadConfig::new(64 << 20))
                    .default_service(web::to(answer))
            });
            let server = server.workers(1).disable_signals().listen(listener).unwrap();
            actix_web::rt::System::new().block_on(async { server.run().await })
        });
        Self { kept, url }
    }

    /// From now on writes of `name` are neither done nor answered; `None`: from now on all are.
    pub(crate) fn stick_at(&self, name: Option<&str>) {
        self.kept.lock().unwrap().stuck = name.map(str::to_owned);
    }

    /// How many writes were left without an answer.
    pub(crate) fn waiting(&self) -> u32 {
        self.kept.lock().unwrap().waiting
    }

    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.kept.lock().unwrap().files.clone()
    }
}

async fn answer(
    request: HttpRequest,
    body: web::Bytes,
    kept: web::Data<Arc<Mutex<Kept>>>,
) -> Result<HttpResponse, actix_web::Error> {
    let signed =
        request.headers().get("authorization").is_some_and(|value| value.as_bytes().starts_with(b"AWS4-HMAC-"));
    if !signed {
        return Ok(HttpResponse::Forbidden().finish());
    }
    let is_stuck = {
        let mut kept = kept.lock().unwrap();
        let is_stuck = request.method() == Method::PUT
            && kept.stuck.as_ref().is_some_and(|name| request.path().ends_with(name.as_str()));
        kept.waiting += u32::from(is_stuck);
        is_stuck
    };
    if is_stuck {
        std::future::pending::<()>().await;
    }
    let mut kept = kept.lock().unwrap();
    let query: BTreeMap<String, String> = web::Query::<BTreeMap<String, String>>::from_query(request.query_string())?.0;
    // /bucket/key
    let key = request.path().splitn(3, '/').nth(2).unwrap_or_default().to_owned();
    let upload = query.get("uploadId").cloned();
    Ok(match (request.method(), upload) {
        (&Method::POST, None) if query.contains_key("uploads") => {
            kept.uploads += 1;
            let id = kept.uploads;
            xml(format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
        }
        (&Method::POST, None) if query.contains_key("delete") => {
            let wanted = String::from_utf8_lossy(&body).into_owned();
            let keys = wanted.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0));
            let gone = |key: &str| {
                kept.files.remove(key);
                format!("<Deleted><Key>{key}</Key></Deleted>")
            };
            xml(format!("<DeleteResult>{}</DeleteResult>", keys.map(gone).collect::<String>()))
        }
        (&Method::PUT, Some(upload)) => {
            let number = query["partNumber"].parse().unwrap();
            kept.parts.insert((upload, number), body.to_vec());
            HttpResponse::Ok().insert_header(("ETag", format!("\"{number}\""))).finish()
        }
        (&Method::POST, Some(upload)) => {
            let parts: Vec<u8> =
                kept.parts.iter().filter(|((of, _), _)| *of == upload).flat_map(|(_, part)| part.clone()).collect();
            kept.files.insert(key, parts);
            xml("<CompleteMultipartUploadResult><ETag>\"done\"</ETag></CompleteMultipartUploadResult>".to_owned())
        }
        (&Method::PUT, None) => {
            kept.files.insert(key, body.to_vec());
            HttpResponse::Ok().insert_header(("ETag", "\"whole\"")).finish()
        }
        (&Method::GET, _) if query.contains_key("list-type") => xml(list(&kept, &query)),
        (&Method::GET, _) => match kept.files.get(&key) {
            Some(file) => HttpResponse::Ok()
                .insert_header(("ETag", "\"whole\""))
                .insert_header(("Last-Modified", "Thu, 15 Jan 2026 00:00:00 GMT"))
                .body(file.clone()),
            None => HttpResponse::NotFound().finish(),
        },
        (&Method::DELETE, _) => {
            kept.files.remove(&key);
            HttpResponse::NoContent().finish()
        }
        _ => HttpResponse::NotImplemented().finish(),
    })
}

fn list(kept: &Kept, query: &BTreeMap<String, String>) -> String {
    let prefix = query.get("prefix").map_or("", String::as_str);
    let mut text = "<ListBucketResult><IsTruncated>false</IsTruncated>".to_owned();
    for (key, file) in kept.files.iter().filter(|(key, _)| key.starts_with(prefix)) {
        let size = file.len();
        write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2026-01-15T00:00:00.000Z</LastModified><ETag>\"x\"</ETag><Size>{size}</Size></Contents>"
        )
        .unwrap();
    }
    text + "</ListBucketResult>"
}

fn xml(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type("application/xml").body(text)
}
