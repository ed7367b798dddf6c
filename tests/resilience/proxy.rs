//! A network between the server and PostgreSQL that can be cut: at once, in the middle of an answer,
//! before a commit has arrived and before its answer has.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long a planned cut may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place at which connections are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// After this many bytes of an answer more, the rest of it is dropped.
    Answer(usize),
    /// A commit never arrives.
    BeforeCommit,
    /// A commit arrives, its answer does not.
    AfterCommit,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    /// Connections that were opened, both ends.
    open: Vec<(TcpStream, TcpStream)>,
    refuses: bool,
    /// Cuts to make, each on one connection.
    plan: Vec<Cut>,
    made: usize,
}

#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = State { target, open: Vec::new(), refuses: false, plan: Vec::new(), made: 0 };
        let proxy = Self { address, state: Arc::new(Mutex::new(state)) };
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                accepting.serve(client);
            }
        });
        proxy
    }

    /// Sends new connections there from now on.
    pub fn move_to(&self, target: SocketAddr) {
        self.state().target = target;
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    /// Cuts all connections; answers how many there were.
    pub fn cut_all(&self) -> usize {
        let open = std::mem::take(&mut self.state().open);
        let cut = |(client, server): &(TcpStream, TcpStream)| {
            let _ = client.shutdown(Shutdown::Both);
            server.shutdown(Shutdown::Both).is_ok()
        };
        open.iter().filter(|pair| cut(pair)).count()
    }

    /// Cuts that many connections at this place, one after another, and waits until it is done.
    #[track_caller]
    pub fn cut(&self, at: Cut, times: usize) {
        let wanted = {
            let mut state = self.state();
            state.plan.extend(std::iter::repeat_n(at, times));
            state.made + times
        };
        let since = Instant::now();
        while self.state().made < wanted {
            assert!(since.elapsed() < PATIENCE, "no connection came to {at:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with it")
    }

    fn serve(&self, client: TcpStream) {
        let (target, refuses) = {
            let state = self.state();
            (state.target, state.refuses)
        };
        if refuses {
            return;
        }
        let Ok(server) = TcpStream::connect(target) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let copy = |stream: &TcpStream| stream.try_clone().expect("a second handle");
        self.state().open.push((copy(&client), copy(&server)));
        let asking = (self.clone(), copy(&client), copy(&server));
        std::thread::spawn(move || asking.0.forward_requests(asking.1, asking.2));
        let proxy = self.clone();
        std::thread::spawn(move || proxy.forward_answers(server, client));
    }

    /// Takes a planned cut that `suits`.
    fn planned(&self, suits: impl Fn(Cut) -> bool) -> Option<Cut> {
        let mut state = self.state();
        let index = state.plan.iter().position(|cut| suits(*cut))?;
        Some(state.plan.remove(index))
    }

    fn forward_requests(&self, mut client: TcpStream, mut server: TcpStream) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = client.read(&mut buffer) {
            let commits = buffer[..n].windows(6).any(|bytes| bytes == b"COMMIT");
            let cut =
                if commits { self.planned(|cut| !matches!(cut, Cut::Answer(_))) } else { None };
            if cut == Some(Cut::AfterCommit) {
                // The client is gone before the answer can be; the server commits all the same.
                let _ = client.shutdown(Shutdown::Both);
            }
            if cut != Some(Cut::BeforeCommit) && server.write_all(&buffer[..n]).is_err() {
                break;
            }
            if cut.is_some() {
                self.state().made += 1;
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        // What was forwarded is still read by the server.
        let _ = server.shutdown(Shutdown::Write);
    }

    fn forward_answers(&self, mut server: TcpStream, mut client: TcpStream) {
        let mut buffer = [0; 64 * 1024];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            let cut = self.planned(|cut| matches!(cut, Cut::Answer(_)));
            if let Some(Cut::Answer(after)) = cut {
                let _ = client.write_all(&buffer[..n.min(after)]);
                self.state().made += 1;
                break;
            }
            if client.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
}
