//! As much of the Docker engine's API as it takes to count and to scale.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Longer than the drain, as in the Compose file.
const GRACE_S: u64 = 40;
/// An answer may take as long as a stop.
const PATIENCE: Duration = Duration::from_secs(GRACE_S + 20);

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    #[error("the Docker engine cannot be reached")]
    Unreachable(#[from] std::io::Error),
    #[error("the Docker engine did not answer in time")]
    Silent,
    #[error("the Docker engine answered {status}: {message}")]
    Refused { status: u16, message: String },
    #[error("the Docker engine's answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
    #[error("the Docker engine's answer is not what was expected: {0}")]
    Unexpected(&'static str),
}

/// Containers that are one service.
#[derive(Debug)]
pub(crate) enum Fleet {
    /// A replicated service of a Swarm.
    Swarm { service: String },
    /// A service of a Compose project on this machine.
    Compose { project: String, service: String },
}

/// The engine.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
}

impl Engine {
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// How many containers there are, or shall be where the Swarm is at it.
    pub(crate) async fn count(&self, fleet: &Fleet) -> Result<u32, EngineError> {
        match fleet {
            Fleet::Swarm { service } => {
                let found = self.get(&format!("/services/{service}")).await?;
                let replicas = found.pointer("/Spec/Mode/Replicated/Replicas").and_then(Value::as_u64);
                replicas
                    .and_then(|count| u32::try_from(count).ok())
                    .ok_or(EngineError::Unexpected("the service is not replicated"))
            }
            Fleet::Compose { project, service } => {
                Ok(u32::try_from(self.containers(project, service).await?.len()).unwrap_or(u32::MAX))
            }
        }
    }

    /// Makes it `wanted`.
    pub(crate) async fn scale(&self, fleet: &Fleet, wanted: u32) -> Result<(), EngineError> {
        match fleet {
            Fleet::Swarm { service } => {
                let found = self.get(&format!("/services/{service}")).await?;
                let version = found.pointer("/Version/Index").and_then(Value::as_u64);
                let version = version.ok_or(EngineError::Unexpected("the service has no version"))?;
                let mut spec = found.get("Spec").cloned().unwrap_or_default();
                let replicas = spec.pointer_mut("/Mode/Replicated/Replicas");
                *replicas.ok_or(EngineError::Unexpected("the service is not replicated"))? = json!(wanted);
                // Refused when somebody changed the service in between; the next look starts from what is then.
                self.post(&format!("/services/{service}/update?version={version}"), Some(&spec)).await?;
            }
            Fleet::Compose { project, service } => {
                let mut running = self.containers(project, service).await?;
                let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
                // The highest numbers go first, as Compose does it.
                while running.len() > wanted
                    && let Some((_, id)) = running.pop()
                {
                    self.post(&format!("/containers/{id}/stop?t={GRACE_S}"), None).await?;
                    self.call("DELETE", &format!("/containers/{id}"), None).await?;
                }
                let mut next = running.last().map_or(1, |(number, _)| number + 1);
                while running.len() < wanted {
                    let (_, model) = running.first().ok_or(EngineError::Unexpected("there is none to copy"))?;
                    let id = self.copy(model, project, service, next).await?;
                    running.push((next, id));
                    next += 1;
                }
            }
        }
        Ok(())
    }

    /// The running containers of a Compose service by their numbers.
    async fn containers(&self, project: &str, service: &str) -> Result<Vec<(u64, String)>, EngineError> {
        let filters = json!({"label": [
            format!("com.docker.compose.project={project}"),
            format!("com.docker.compose.service={service}"),
            "com.docker.compose.oneoff=False",
        ]});
        let query =
            url::form_urlencoded::Serializer::new(String::new()).append_pair("filters", &filters.to_string()).finish();
        let found = self.get(&format!("/containers/json?{query}")).await?;
        let list = found.as_array().ok_or(EngineError::Unexpected("no list of containers"))?;
        let mut containers: Vec<_> = list
            .iter()
            .filter_map(|container| {
                let number =
                    container.pointer("/Labels/com.docker.compose.container-number")?.as_str()?.parse().ok()?;
                Some((number, container.get("Id")?.as_str()?.to_owned()))
            })
            .collect();
        containers.sort();
        Ok(containers)
    }

    /// Starts a container that is like another one but for its number.
    async fn copy(&self, model: &str, project: &str, service: &str, number: u64) -> Result<String, EngineError> {
        let model = self.get(&format!("/containers/{model}/json")).await?;
        let mut body = model.get("Config").and_then(Value::as_object).cloned().unwrap_or_default();
        // The engine names it by its own id.
        body.remove("Hostname");
        if let Some(labels) = body.get_mut("Labels").and_then(Value::as_object_mut) {
            labels.insert("com.docker.compose.container-number".to_owned(), json!(number.to_string()));
        }
        body.insert("HostConfig".to_owned(), model.get("HostConfig").cloned().unwrap_or_default());
        let networks =
            model.pointer("/NetworkSettings/Networks").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut endpoints = networks.keys().map(|name| (name.clone(), json!({"Aliases": [service]})));
        // One network at the creation, the others after it: older engines take no more.
        if let Some((name, endpoint)) = endpoints.next() {
            let first = Map::from_iter([(name, endpoint)]);
            body.insert("NetworkingConfig".to_owned(), json!({ "EndpointsConfig": first }));
        }
        let separator =
            if model.get("Name").and_then(Value::as_str).is_some_and(|name| name.contains('_')) { '_' } else { '-' };
        let name = format!("{project}{separator}{service}{separator}{number}");
        let made = self.post(&format!("/containers/create?name={name}"), Some(&Value::Object(body))).await?;
        let id = made.get("Id").and_then(Value::as_str).ok_or(EngineError::Unexpected("no id of the new container"))?;
        for (network, endpoint) in endpoints {
            let body = json!({"Container": id, "EndpointConfig": endpoint});
            self.post(&format!("/networks/{network}/connect"), Some(&body)).await?;
        }
        self.post(&format!("/containers/{id}/start"), None).await?;
        Ok(id.to_owned())
    }

    async fn get(&self, path: &str) -> Result<Value, EngineError> {
        self.call("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Option<&Value>) -> Result<Value, EngineError> {
        self.call("POST", path, body).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, EngineError> {
        let exchange = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let body = body.map(Value::to_string).unwrap_or_default();
            // HTTP/1.0: the answer comes in one piece and ends with the connection.
            let length = body.len();
            let head = format!(
                "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.map_err(|_elapsed| EngineError::Silent)??;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(EngineError::Unexpected("no HTTP"))?;
        let status =
            head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(EngineError::Unexpected("no status"))?;
        match status {
            // 304: it is stopped, or started, already.
            200..=299 | 304 if body.trim().is_empty() => Ok(Value::Null),
            200..=299 | 304 => Ok(serde_json::from_str(body)?),
            _ => Err(EngineError::Refused { status, message: body.trim().chars().take(300).collect() }),
        }
    }
}
