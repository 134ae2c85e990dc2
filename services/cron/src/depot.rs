//! Where files go that others read: a directory, or a bucket of an S3-compatible store. A file is there whole or not at all,
//! however it is written.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use config::{ExposeSecret, Reader, SecretString};
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _};

/// A directory, or a bucket and the beginning of the names in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Directory(PathBuf),
    Bucket { bucket: String, prefix: String },
}

/// A text that names no place.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is neither a directory nor s3://bucket/prefix")]
pub(crate) struct InvalidPlace(String);

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let Some(rest) = text.strip_prefix("s3://") else {
            let fine = !text.is_empty() && !text.contains("://");
            return if fine { Ok(Self::Directory(text.into())) } else { Err(InvalidPlace(text.to_owned())) };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(InvalidPlace(text.to_owned()));
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// How to reach buckets.
#[derive(Debug, Clone)]
pub(crate) struct S3 {
    endpoint: Option<String>,
    region: String,
    key_id: Option<String>,
    secret: Option<SecretString>,
}

impl S3 {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            endpoint: reader.optional("S3_ENDPOINT", "where an S3-compatible store is; Amazon's by default"),
            region: reader.default("S3_REGION", "ap-south-1".to_owned(), "the region of the buckets"),
            key_id: reader.optional("S3_ACCESS_KEY_ID", "who writes to the buckets; the machine's role by default"),
            secret: reader.optional_secret("S3_SECRET_ACCESS_KEY", "the secret of S3_ACCESS_KEY_ID"),
        }
    }
}

/// Why files could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DepotError {
    #[error("{place} cannot be used")]
    Open {
        place: Place,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{what} {name} in {place} did not work")]
    Tried {
        what: &'static str,
        name: String,
        place: Place,
        #[source]
        source: Box<object_store::Error>,
    },
}

/// Files in one place.
#[derive(Clone)]
pub(crate) struct Depot {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    place: Place,
}

impl Depot {
    /// Opens a place; a directory is made if it is not there.
    pub(crate) fn open(place: &Place, s3: &S3) -> Result<Self, DepotError> {
        let failed = |source| DepotError::Open { place: place.clone(), source };
        let (store, prefix): (Arc<dyn ObjectStore>, _) = match place {
            Place::Directory(path) => {
                std::fs::create_dir_all(path).map_err(|error| failed(error.into()))?;
                let store = LocalFileSystem::new_with_prefix(path).map_err(|error| failed(error.into()))?;
                (Arc::new(store.with_fsync(true)), Path::default())
            }
            Place::Bucket { bucket, prefix } => {
                let prefix = Path::parse(prefix).map_err(|error| failed(error.into()))?;
                (Arc::new(bucket_of(s3, bucket).map_err(|error| failed(error.into()))?), prefix)
            }
        };
        Ok(Self { store, prefix, place: place.clone() })
    }

    /// A place that is gone with this value, for dry runs.
    pub(crate) fn nowhere() -> Self {
        let place = Place::Directory(PathBuf::new());
        Self { store: Arc::new(object_store::memory::InMemory::new()), prefix: Path::default(), place }
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }

    fn tried(&self, what: &'static str, name: &str) -> impl FnOnce(object_store::Error) -> DepotError {
        let (name, place) = (name.to_owned(), self.place.clone());
        move |source| DepotError::Tried { what, name, place, source: Box::new(source) }
    }

    /// Writes a file in one go. Who reads it meanwhile reads the old one.
    pub(crate) async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), DepotError> {
        self.store.put(&self.path(name), content.into()).await.map_err(self.tried("writing", name))?;
        Ok(())
    }

    /// Writes a file piece by piece; it is there once the writer was shut down.
    pub(crate) fn writer(&self, name: &str) -> BufWriter {
        BufWriter::new(self.store.clone(), self.path(name))
    }

    /// Reads a file piece by piece; `None` when there is none.
    pub(crate) async fn read(
        &self,
        name: &str,
    ) -> Result<Option<BoxStream<'static, object_store::Result<Bytes>>>, DepotError> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found.into_stream())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.tried("reading", name)(error)),
        }
    }

    /// Reads a small file whole; `None` when there is none.
    pub(crate) async fn read_all(&self, name: &str) -> Result<Option<Vec<u8>>, DepotError> {
        let Some(pieces) = self.read(name).await? else { return Ok(None) };
        let pieces: Vec<Bytes> = pieces.try_collect().await.map_err(self.tried("reading", name))?;
        Ok(Some(pieces.concat()))
    }

    /// The names of all files, in order.
    pub(crate) async fn names(&self) -> Result<Vec<String>, DepotError> {
        let found: Vec<_> =
            self.store.list(Some(&self.prefix)).try_collect().await.map_err(self.tried("listing", ""))?;
        let mut names: Vec<_> =
            found.into_iter().filter_map(|meta| Some(meta.location.filename()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    /// Deletes a file. One that is gone already is fine.
    pub(crate) async fn delete(&self, name: &str) -> Result<(), DepotError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.tried("deleting", name)(error)),
        }
    }
}

fn bucket_of(s3: &S3, bucket: &str) -> object_store::Result<impl ObjectStore + use<>> {
    let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region(&s3.region);
    if let Some(endpoint) = &s3.endpoint {
        let plain = endpoint.starts_with("http://");
        builder = builder.with_endpoint(endpoint).with_client_options(ClientOptions::new().with_allow_http(plain));
    }
    if let (Some(id), Some(secret)) = (&s3.key_id, &s3.secret) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose_secret());
    }
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket() {
        let bucket =
            |bucket: &str, prefix: &str| Place::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() };
        assert_eq!("/srv/sitemaps".parse::<Place>().unwrap(), Place::Directory("/srv/sitemaps".into()));
        assert_eq!("s3://shop/a/b/".parse::<Place>().unwrap(), bucket("shop", "a/b"));
        assert_eq!("s3://shop".parse::<Place>().unwrap(), bucket("shop", ""));
        for wrong in ["", "s3://", "s3:///a", "gs://shop"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
