//! Postgres behind a certificate of a private authority, as clouds run it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use config::{Map, Reader};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, UnixStream};
use tokio_rustls::TlsAcceptor;

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority in this folder, and a server with a certificate for `localhost` that it signed.
fn certify(folder: &Path) -> (String, Arc<rustls::ServerConfig>) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(folder, &format!("req -x509 {key} -days 2 -subj /CN=authority -keyout authority.key -out authority.pem"));
    openssl(folder, &format!("req -new {key} -subj /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(
        folder,
        "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()],
            PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap(),
        )
        .unwrap();
    (folder.join("authority.pem").to_str().unwrap().to_owned(), Arc::new(server))
}

/// The eight bytes by which a client of Postgres asks for TLS; one byte says yes.
const ASKS_FOR_TLS: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Speaks TLS for the run's own Postgres, which has none. Gives the port.
async fn terminate(server: Arc<rustls::ServerConfig>, behind: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(server);
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut asked = [0; 8];
                client.read_exact(&mut asked).await.unwrap();
                let mut server = UnixStream::connect(&behind).await.unwrap();
                if asked != ASKS_FOR_TLS {
                    server.write_all(&asked).await.unwrap();
                    let _closed = copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                client.write_all(b"S").await.unwrap();
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let _closed = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

fn pool(variables: [(&str, &str); 2]) -> store::Pool {
    let source = Map::from(variables);
    let mut reader = Reader::new(&source);
    let settings = store::Settings::read(&mut reader);
    store::Pool::connect(&reader.finish(settings).unwrap()).unwrap()
}

#[tokio::test]
async fn a_private_authority_is_believed_when_it_is_named_and_the_servers_name_is_verified() {
    let database = testkit::Database::start().await;
    let plain = database.url();
    let (user, rest) = plain.strip_prefix("postgres://").unwrap().split_once('@').unwrap();
    // The run's server is at a socket file.
    let (socket, name) = rest.split_once('/').unwrap();
    let socket = Path::new(&socket.replace("%2F", "/")).join(".s.PGSQL.5432");
    let folder = std::env::temp_dir().join(format!("store-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (authority, server) = certify(&folder);
    let port = terminate(server, socket).await;
    let url = |host: &str| format!("postgres://{user}@{host}:{port}/{name}?sslmode=verify-full");

    let known = pool([("DATABASE_URL", &url("localhost")), ("DATABASE_CA_FILE", &authority)]);
    known.ping().await.unwrap();
    assert!(known.listen(&["any"]).await.is_ok());
    pool([("DATABASE_URL", &url("localhost")), ("NOTHING", "")]).ping().await.unwrap_err();
    pool([("DATABASE_URL", &url("127.0.0.1")), ("DATABASE_CA_FILE", &authority)]).ping().await.unwrap_err();
    // Debian's own Postgres has a certificate that nobody signed: within a machine it is not asked for.
    let silent = format!("postgres://{user}@127.0.0.1:{port}/{name}");
    pool([("DATABASE_URL", &silent), ("NOTHING", "")]).ping().await.unwrap();
    pool([("DATABASE_URL", &format!("{silent}?sslmode=prefer")), ("NOTHING", "")]).ping().await.unwrap_err();
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_file_without_a_certificate_is_told_at_the_start() {
    for path in ["/nowhere/ca.pem", "/dev/null"] {
        let source = Map::from([("DATABASE_URL", "postgres://a@b/c"), ("DATABASE_CA_FILE", path)]);
        let mut reader = Reader::new(&source);
        let settings = store::Settings::read(&mut reader);
        let problems = reader.finish(settings).unwrap_err();
        assert!(problems.list()[0].starts_with(&format!("DATABASE_CA_FILE: {path} cannot be used: ")), "{problems}");
    }
}
