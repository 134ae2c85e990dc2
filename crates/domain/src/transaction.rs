//! A network's transaction in our words.
