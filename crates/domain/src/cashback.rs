//! How a commission becomes cashback, and which step may follow which.
