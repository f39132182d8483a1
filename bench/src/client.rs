//! The load generator: one thread, one epoll, N keep-alive connections.
//!
//! Closed loop (no `--rate`): each connection sends its next request when the
//! response to the last one is there. Paced (`--rate`): requests are due at equal
//! intervals whatever the server does, and a latency counts from the moment the
//! request was due, so a server that stalls cannot hide the requests it delayed.

use crate::{
    certificate::client_config,
    cpu::CpuTime,
    error::{Doing, Error},
    histogram::Histogram,
    link::{Link, Target},
    machine,
    response::Response,
};
use rustix::{
    event::epoll::{self, CreateFlags, Event, EventData, EventFlags},
    fd::OwnedFd,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec},
};
use std::{
    collections::{BTreeMap, VecDeque},
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

/// What load to make.
#[derive(clap::Args)]
pub struct Options {
    /// The server.
    #[arg(long)]
    address: SocketAddr,
    /// The certificate to trust; without it, the connections are plain TCP.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// A JSON array of whole requests. Connection i of N sends those at i, i + N,
    /// i + 2N … modulo their number.
    #[arg(long)]
    requests: PathBuf,
    /// Keep-alive connections.
    #[arg(long)]
    connections: usize,
    /// Seconds of load that are not counted.
    #[arg(long)]
    warm_up: f64,
    /// Seconds of load that are counted.
    #[arg(long)]
    seconds: f64,
    /// Requests per second; without it, a closed loop.
    #[arg(long)]
    rate: Option<f64>,
    /// The processes whose CPU time to read at both ends of the counted time.
    #[arg(long, value_delimiter = ',')]
    watch: Vec<u32>,
}

/// What came of it, in the counted time.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// How long the counted time was.
    pub seconds: f64,
    /// Requests that were answered with 200.
    pub requests: u64,
    /// All others, by status or by what happened to the connection; those of the
    /// warm-up too.
    pub errors: BTreeMap<String, u64>,
    /// Latency that half of the requests stayed within, in microseconds.
    pub p50_us: f64,
    /// The same of 99 in 100.
    pub p99_us: f64,
    /// The same of 999 in 1,000.
    pub p999_us: f64,
    /// The longest.
    pub max_us: f64,
    /// CPU seconds of each watched process tree.
    pub watched_cpu_s: Vec<f64>,
    /// CPU seconds of the load generator.
    pub own_cpu_s: f64,
    /// Cores kept busy by processes that are none of these.
    pub foreign_cores: f64,
    /// Requests that were due but never sent, because no connection was free.
    pub unsent: usize,
}

/// Makes the load; prints the report as JSON.
pub fn run(options: &Options) -> Result<(), Error> {
    let text = fs::read(&options.requests).doing(|| "read the requests".to_owned())?;
    let requests: Vec<String> = serde_json::from_slice(&text).map_err(|source| Error::Json {
        what: "the list of requests".to_owned(),
        source,
    })?;
    if requests.is_empty() {
        return Err(Error::Usage("the list of requests is empty".to_owned()));
    }
    let target = Target {
        address: options.address,
        tls: options
            .certificate
            .as_deref()
            .map(client_config)
            .transpose()?,
    };
    let requests = requests.into_iter().map(String::into_bytes).collect();
    let report = Engine::connect(options, &target, requests)
        .and_then(|mut engine| engine.run(options))
        .doing(|| format!("keep up the load on {}", options.address))?;
    let json = serde_json::to_string(&report).map_err(|source| Error::Json {
        what: "the report".to_owned(),
        source,
    })?;
    println!("{json}");
    Ok(())
}

const TIMER: u64 = u64::MAX;

struct Engine<'a> {
    target: &'a Target,
    poll: OwnedFd,
    connections: Vec<Connection>,
    requests: Vec<Vec<u8>>,
    pace: Option<Pace>,
    tally: Tally,
}

impl<'a> Engine<'a> {
    fn connect(options: &Options, target: &'a Target, requests: Vec<Vec<u8>>) -> io::Result<Self> {
        let poll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(options.connections);
        for index in 0..options.connections {
            let link = target.connect()?;
            epoll::add(
                &poll,
                link.stream(),
                EventData::new_u64(index as u64),
                EventFlags::IN,
            )?;
            connections.push(Connection {
                link,
                next: index,
                since: None,
                response: Response::default(),
            });
        }
        let pace = options
            .rate
            .map(|rate| Pace::start(rate, connections.len()))
            .transpose()?;
        if let Some(pace) = &pace {
            let data = EventData::new_u64(TIMER);
            epoll::add(&poll, &pace.timer, data, EventFlags::IN)?;
        }
        Ok(Self {
            target,
            poll,
            connections,
            requests,
            pace,
            tally: Tally::default(),
        })
    }

    fn run(&mut self, options: &Options) -> io::Result<Report> {
        if self.pace.is_none() {
            for index in 0..self.connections.len() {
                self.send(index, Instant::now())?;
            }
        }
        self.keep_up(Duration::from_secs_f64(options.warm_up))?;
        let warm_up_errors = std::mem::take(&mut self.tally).errors;
        let before = Usage::read(&options.watch);
        let start = Instant::now();
        self.keep_up(Duration::from_secs_f64(options.seconds))?;
        let seconds = start.elapsed().as_secs_f64();
        let used = Usage::read(&options.watch).since(&before);
        let mut errors = std::mem::take(&mut self.tally.errors);
        for (what, count) in warm_up_errors {
            *errors.entry(what).or_default() += count;
        }
        let latency = &self.tally.latency;
        Ok(Report {
            seconds,
            requests: latency.total(),
            errors,
            p50_us: latency.quantile_us(500),
            p99_us: latency.quantile_us(990),
            p999_us: latency.quantile_us(999),
            max_us: latency.max_us(),
            foreign_cores: used.foreign.as_secs_f64() / seconds,
            own_cpu_s: used.own.as_secs_f64(),
            watched_cpu_s: used.watched.iter().map(Duration::as_secs_f64).collect(),
            unsent: self.pace.as_ref().map_or(0, |pace| pace.due.len()),
        })
    }

    fn keep_up(&mut self, duration: Duration) -> io::Result<()> {
        let end = Instant::now() + duration;
        let mut events: Vec<Event> = Vec::with_capacity(256);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            events.clear();
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match epoll::wait(
                &self.poll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&timeout),
            ) {
                Err(rustix::io::Errno::INTR) => continue,
                result => result?,
            };
            for event in &events {
                match event.data.u64() {
                    TIMER => self.send_due()?,
                    index => self.receive(usize::try_from(index).map_err(io::Error::other)?)?,
                }
            }
        }
    }

    fn send_due(&mut self) -> io::Result<()> {
        if let Some(pace) = &mut self.pace {
            pace.tick()?;
        }
        while let Some((index, due)) = self.pace.as_mut().and_then(Pace::pair) {
            self.send(index, due)?;
        }
        Ok(())
    }

    fn send(&mut self, index: usize, since: Instant) -> io::Result<()> {
        let count = self.connections.len();
        let connection = &mut self.connections[index];
        let request = &self.requests[connection.next % self.requests.len()];
        connection.next += count;
        connection.since = Some(since);
        let Err(error) = connection.link.send(request) else {
            return Ok(());
        };
        self.broken(index, &error)
    }

    fn receive(&mut self, index: usize) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let status = match connection.link.receive(&mut connection.response) {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => status,
            Err(error) => return self.broken(index, &error),
        };
        connection.response.clear();
        let now = Instant::now();
        match connection.since.take() {
            Some(since) if status == 200 => {
                self.tally
                    .latency
                    .record(now.saturating_duration_since(since));
            }
            _ => self.tally.error(status.to_string()),
        }
        self.next(index, now)
    }

    /// Sends what is to be sent on a connection that has become free.
    fn next(&mut self, index: usize, now: Instant) -> io::Result<()> {
        match &mut self.pace {
            None => self.send(index, now),
            Some(pace) => {
                pace.idle.push_back(index);
                match pace.pair() {
                    None => Ok(()),
                    Some((index, due)) => self.send(index, due),
                }
            }
        }
    }

    /// Counts the failure and connects again; fails when the server is gone.
    fn broken(&mut self, index: usize, error: &io::Error) -> io::Result<()> {
        self.tally.error(format!("connection: {error}"));
        let link = self.target.connect()?;
        epoll::add(
            &self.poll,
            link.stream(),
            EventData::new_u64(index as u64),
            EventFlags::IN,
        )?;
        let connection = &mut self.connections[index];
        connection.link = link;
        connection.response.clear();
        if connection.since.take().is_some() {
            self.next(index, Instant::now())
        } else {
            Ok(())
        }
    }
}

#[derive(Default)]
struct Tally {
    latency: Histogram,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }
}

struct Connection {
    link: Link,
    /// The place in the list of the request to send next.
    next: usize,
    /// Since when the outstanding request counts.
    since: Option<Instant>,
    response: Response,
}

/// The requests of the paced mode, and the connections that wait for one.
struct Pace {
    timer: OwnedFd,
    interval: Duration,
    next_due: Instant,
    due: VecDeque<Instant>,
    idle: VecDeque<usize>,
}

impl Pace {
    fn start(rate: f64, connections: usize) -> io::Result<Self> {
        let interval = Duration::from_secs_f64(rate.recip());
        let timer = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )?;
        let every = Timespec::try_from(interval).map_err(io::Error::other)?;
        let next_due = Instant::now() + interval;
        rustix::time::timerfd_settime(
            &timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec {
                it_interval: every,
                it_value: every,
            },
        )?;
        let idle = (0..connections).collect();
        Ok(Self {
            timer,
            interval,
            next_due,
            due: VecDeque::new(),
            idle,
        })
    }

    /// Notes what has become due by now.
    fn tick(&mut self) -> io::Result<()> {
        // The timer runs on when it is read; how often it ran out, the clock
        // tells as well.
        match rustix::io::read(&self.timer, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        while self.next_due <= now {
            self.due.push_back(self.next_due);
            self.next_due += self.interval;
        }
        Ok(())
    }

    /// A free connection and the request that is due on it.
    fn pair(&mut self) -> Option<(usize, Instant)> {
        let due = *self.due.front()?;
        let index = self.idle.pop_front()?;
        self.due.pop_front();
        Some((index, due))
    }
}

/// CPU time, all of it, at one moment.
struct Usage {
    watched: Vec<CpuTime>,
    own: CpuTime,
    machine: Duration,
}

struct Used {
    watched: Vec<Duration>,
    own: Duration,
    foreign: Duration,
}

impl Usage {
    fn read(watch: &[u32]) -> Self {
        Self {
            watched: watch.iter().map(|&pid| CpuTime::of(pid)).collect(),
            own: CpuTime::of(std::process::id()),
            machine: machine::busy_time(),
        }
    }

    fn since(&self, earlier: &Self) -> Used {
        let watched: Vec<Duration> = self
            .watched
            .iter()
            .zip(&earlier.watched)
            .map(|(now, then)| now.since(then))
            .collect();
        let own = self.own.since(&earlier.own);
        let ours = watched.iter().sum::<Duration>() + own;
        let foreign = self
            .machine
            .saturating_sub(earlier.machine)
            .saturating_sub(ours);
        Used {
            watched,
            own,
            foreign,
        }
    }
}
