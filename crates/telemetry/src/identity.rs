//! Who speaks: the same three words in every log line, every trace and every scrape.

/// A running process.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The binary.
    pub(crate) service: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// The machine or pod, and the process on it.
    pub(crate) instance: String,
}

impl Identity {
    pub(crate) fn of(service: &'static str) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "unknown" } else { host.trim() };
        Self { service, version: env!("CARGO_PKG_VERSION"), instance: format!("{host}:{}", std::process::id()) }
    }

    /// The same for OpenTelemetry, with what `OTEL_RESOURCE_ATTRIBUTES` adds.
    pub(crate) fn resource(&self) -> opentelemetry_sdk::Resource {
        opentelemetry_sdk::Resource::builder()
            .with_service_name(self.service)
            .with_attributes([
                opentelemetry::KeyValue::new("service.version", self.version),
                opentelemetry::KeyValue::new("service.instance.id", self.instance.clone()),
            ])
            .build()
    }
}
