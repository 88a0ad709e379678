//! What no uploader can do without: the digest of the bytes, TLS where there is TLS, and one write to
//! a connection that stands already. A bare blocking client does just that, to a thread that throws
//! the bytes away; the thread's own CPU time is not counted.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::time::ClockId;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use sha2::{Digest as _, Sha256};

use crate::device::clock;

/// About the head of a presigned PUT with its metadata, and about a store's answer to it.
const HEAD: usize = 1500;
const ANSWER: usize = 300;

/// CPU time of the client's thread for all bodies.
pub(crate) fn client(bodies: &[bytes::Bytes], secure: bool) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a local port");
    let address = listener.local_addr().expect("its address");
    let lengths: Vec<usize> = bodies.iter().map(bytes::Bytes::len).collect();
    let server = std::thread::spawn(move || {
        let stream = listener.accept().expect("the client").0;
        stream.set_nodelay(true).expect("a socket option");
        match secure {
            true => discard(server_side(stream), &lengths),
            false => discard(stream, &lengths),
        }
    });
    let stream = TcpStream::connect(address).expect("the server");
    stream.set_nodelay(true).expect("a socket option");
    let spent = match secure {
        true => send(client_side(stream), bodies),
        false => send(stream, bodies),
    };
    server.join().expect("the server").expect("every byte arrived");
    spent.expect("every answer arrived")
}

fn send(mut stream: impl Read + Write, bodies: &[bytes::Bytes]) -> io::Result<Duration> {
    let (head, mut answer) = ([b'h'; HEAD], [0; ANSWER]);
    exchange(&mut stream, &head, &[0; 1], &mut answer)?; // the handshake is not counted
    let before = clock(ClockId::ThreadCPUTime);
    for body in bodies {
        std::hint::black_box(Sha256::digest(body));
        exchange(&mut stream, &head, body, &mut answer)?;
    }
    Ok(clock(ClockId::ThreadCPUTime) - before)
}

fn exchange(
    stream: &mut (impl Read + Write),
    head: &[u8],
    body: &[u8],
    answer: &mut [u8],
) -> io::Result<()> {
    stream.write_all(head)?;
    stream.write_all(body)?;
    stream.flush()?;
    stream.read_exact(answer)
}

fn discard(mut stream: impl Read + Write, lengths: &[usize]) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    for length in std::iter::once(&1).chain(lengths) {
        let mut left = HEAD + length;
        while left > 0 {
            let most = left.min(buffer.len());
            left -= match stream.read(&mut buffer[..most])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                got => got,
            };
        }
        stream.write_all(&[b'a'; ANSWER])?;
        stream.flush()?;
    }
    Ok(())
}

/// AES-128, which is what a Go server chooses of what we offer, so that both sides of the comparison
/// pay for the same cipher.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    let cipher_suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
    Arc::new(rustls::crypto::CryptoProvider { cipher_suites, ..ring::default_provider() })
}

fn server_side(stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(fixture("server.pem")).expect("a fixture").collect();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a fixture");
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version that the provider has")
        .with_no_client_auth()
        .with_single_cert(certificates.expect("a fixture"), key)
        .expect("certificate and key belong together");
    StreamOwned::new(ServerConnection::new(Arc::new(config)).expect("a connection"), stream)
}

fn client_side(stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(fixture("ca.pem")).expect("a fixture") {
        roots.add(root.expect("a fixture")).expect("a CA certificate");
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version that the provider has")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("a connection"), stream)
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}
