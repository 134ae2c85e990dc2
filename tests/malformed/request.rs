//! A request before it becomes bytes.

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) version: &'static str,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    /// Nothing is sent after it, although it is not whole.
    pub(crate) is_cut: bool,
}

/// How the end of the body is told.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its length, if there is a body.
    Length,
    /// These lines, whatever the body is.
    Lines(&'static str),
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_bytes().to_vec(),
            version: "HTTP/1.1",
            headers: vec![("Host".to_owned(), b"shop.example.in".to_vec())],
            framing: Framing::Length,
            body: Vec::new(),
            is_cut: false,
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("Content-Type", kind)
    }

    /// With something behind its path.
    pub(crate) fn query(mut self, query: impl AsRef<[u8]>) -> Self {
        self.target.push(b'?');
        self.target.extend_from_slice(query.as_ref());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.method.as_bytes().to_vec();
        bytes.push(b' ');
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(format!(" {}\r\n", self.version).as_bytes());
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        match self.framing {
            Framing::Length if !self.body.is_empty() || self.method == "POST" => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
            }
            Framing::Length => {}
            Framing::Lines(lines) => bytes.extend_from_slice(lines.as_bytes()),
        }
        bytes.extend_from_slice(b"Connection: close\r\n\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
