//! The least that an answer of this framework costs: a 302, and nothing done for it.

use actix_web::http::header::LOCATION;
use actix_web::{App, HttpResponse, HttpServer, web};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let (port, workers) = (arguments.next().expect("a port"), arguments.next().expect("workers"));
    let out = async || HttpResponse::Found().insert_header((LOCATION, "https://shop.test/")).finish();
    HttpServer::new(move || App::new().route("/out/{offer_id}", web::get().to(out)))
        .workers(usize::from(workers))
        .bind(("127.0.0.1", port))?
        .run()
        .await
}
