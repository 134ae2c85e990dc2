/// An error with everything under it in one line, outermost first: how errors are written to logs and to rows that people
/// read.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn every_cause_is_named() {
        let error = Outer("x".parse::<i32>().unwrap_err());
        assert_eq!(chain(&error), "outer: invalid digit found in string");
    }
}
