//! Settings from the environment, read once at start, with **every** problem reported at once.
//!
//! A crate that has settings owns a struct with `fn read(reader: &mut Reader) -> Self`; a service composes those.
//! The names and their meaning stand where they are used, and `.env.example` is generated from the same calls
//! (see [`Reader::entries`]).
//!
//! ```
//! use config::{Map, Reader};
//!
//! struct Settings { port: u16 }
//!
//! let source = Map::from([("PORT", "eighty")]);
//! let mut reader = Reader::new(&source);
//! let settings = Settings { port: reader.default("PORT", 8080, "where to listen") };
//! let host: String = reader.required("HOST", "our public name");
//! let problems = reader.finish(settings).err().unwrap();
//! assert_eq!(problems.list().len(), 2);
//! ```

mod list;
mod reader;
mod source;

pub use list::List;
pub use reader::{Entry, Problems, Reader};
pub use secrecy::{ExposeSecret, SecretString};
pub use source::{Environment, Map, Source};
