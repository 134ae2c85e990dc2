//! Proof that can be repeated: what growth costs (`make growth`), what load takes (`make load`), and whether anything
//! creeps up over time (`make soak`). Figures go to the terminal as a table, and to `docs/performance/` as JSON and SVG.
//!
//! `BINARIES`: the folder of the services' binaries (beside this executable).

mod growth;
mod load;
mod plot;
mod record;
mod soak;

#[tokio::main]
async fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // `cargo test --benches` only wants to know that it can be built.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    println!("{}", record::machine());
    let holds = match arguments.first().map(String::as_str) {
        Some("soak") => soak::run().await,
        Some("growth") => growth::run().await,
        Some("load") => load::run().await,
        other => panic!("soak, growth and load are what can be asked for, and not {other:?}"),
    };
    if !holds {
        println!("something does not hold");
        std::process::exit(1);
    }
}
