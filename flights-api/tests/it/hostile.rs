//! Whatever the bytes: no panic, no overflow, no wait.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use flights_api::igc;
use proptest::prelude::*;

use crate::support::real;

static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    [
        "aerofiles__tests_igc_data_bad-line.igc",
        "aerofiles__tests_igc_data_skydrop-2019-04-15.igc",
        "go-igc__testdata_PING.IGC",
        "goigc__testdata_parse_parse-0-basic-header.1.igc",
        "igc-parser__fixtures_20241007TZN.igc",
    ]
    .map(real)
    .to_vec()
});

#[derive(Clone, Debug)]
enum Mutation {
    Flip {
        at: prop::sample::Index,
        byte: u8,
    },
    Truncate {
        at: prop::sample::Index,
    },
    Duplicate {
        line: prop::sample::Index,
        times: usize,
    },
    Remove {
        line: prop::sample::Index,
    },
    Insert {
        line: prop::sample::Index,
        with: Vec<u8>,
    },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Mutation::Flip { at, byte }),
        1 => index().prop_map(|at| Mutation::Truncate { at }),
        1 => (index(), 1..50usize).prop_map(|(line, times)| Mutation::Duplicate { line, times }),
        1 => index().prop_map(|line| Mutation::Remove { line }),
        1 => (index(), prop::collection::vec(any::<u8>(), 0..80))
            .prop_map(|(line, with)| Mutation::Insert { line, with }),
    ]
}

fn mutate(file: &mut Vec<u8>, mutation: &Mutation) {
    if file.is_empty() {
        return;
    }
    let mut lines: Vec<Vec<u8>> = file
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    match mutation {
        Mutation::Flip { at, byte } => {
            let at = at.index(file.len());
            file[at] = *byte;
            return;
        }
        Mutation::Truncate { at } => return file.truncate(at.index(file.len())),
        Mutation::Duplicate { line, times } => {
            let at = line.index(lines.len());
            let copies = vec![lines[at].clone(); *times];
            lines.splice(at..at, copies);
        }
        Mutation::Remove { line } => drop(lines.remove(line.index(lines.len()))),
        Mutation::Insert { line, with } => lines.insert(line.index(lines.len()), with.clone()),
    }
    *file = lines.join(&b'\n');
}

/// What holds for every summary, however strange the file.
fn check(file: &[u8]) {
    match igc::read(file) {
        Ok(summary) => {
            assert!(summary.fixes > 0);
            assert_eq!(summary.takeoff.is_some(), summary.landing.is_some());
            assert!(summary.duration_s.is_none_or(|duration| duration >= 0));
            for place in [
                Some(summary.first_fix),
                Some(summary.last_fix),
                summary.takeoff,
                summary.landing,
            ] {
                let Some(place) = place else { continue };
                assert!(place.latitude.abs() <= 90.0 && place.longitude.abs() <= 180.0);
            }
            let json = serde_json::to_string(&summary).unwrap();
            assert_eq!(
                serde_json::from_str::<igc::Summary>(&json).unwrap(),
                summary
            );
        }
        Err(why) => assert!(why.to_string().starts_with("line ")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(file in prop::collection::vec(any::<u8>(), 0..4096)) {
        check(&file);
    }

    #[test]
    fn no_lines_that_look_like_records_make_it_panic(
        lines in prop::collection::vec("[ABHILabhi][0-9A-Z+:, -]{0,40}|HFDTE[0-9]{6}|B[0-9]{13}[NSns][0-9]{8}[EWew][AVav][-0-9]{10}", 0..60)
    ) {
        check(lines.join("\n").as_bytes());
    }

    #[test]
    fn no_damage_to_a_real_file_makes_it_panic(
        which in any::<prop::sample::Index>(),
        mutations in prop::collection::vec(mutation(), 1..12),
    ) {
        let mut file = REAL[which.index(REAL.len())].clone();
        for mutation in &mutations {
            mutate(&mut file, mutation);
        }
        check(&file);
    }
}

/// The time a quadratic reader would need for these is hours. The bound is wide:
/// this is an unoptimised build on a busy machine.
#[test]
fn ten_mebibytes_of_anything_are_read_in_seconds() {
    const SIZE: usize = 10 << 20;
    let fixes = |alternate: bool| {
        let mut file = b"HFDTE010526\n".to_vec();
        let mut n = 0u64;
        while file.len() < SIZE {
            // Every second line a midnight, or a march through the days.
            let second = if alternate {
                (n % 2) * 80_000
            } else {
                n % 86_400
            };
            let north = if n % 600 < 300 { n % 60_000 } else { 0 };
            file.extend(
                format!(
                    "B{:02}{:02}{:02}47{north:05}N00800000EA0100001100\n",
                    second / 3600,
                    second / 60 % 60,
                    second % 60
                )
                .bytes(),
            );
            n += 1;
        }
        file
    };
    let inputs: [(&str, Vec<u8>); 9] = [
        ("fixes", fixes(false)),
        ("midnights", fixes(true)),
        ("newlines", vec![b'\n'; SIZE]),
        ("carriage returns", vec![b'\r'; SIZE]),
        ("one line", vec![b'H'; SIZE]),
        (
            "one line of Latin-1",
            [b"HFPLTPILOT:".to_vec(), vec![0xF6; SIZE]].concat(),
        ),
        ("dates", b"HFDTE010526\nHFDTE020526\n".repeat(SIZE / 24)),
        ("bad fixes", b"B9\n".repeat(SIZE / 3)),
        (
            "fixes before their date",
            [
                b"B1200004700000N00800000EA0100001100\n".repeat(SIZE / 36),
                b"HFDTE010526".to_vec(),
            ]
            .concat(),
        ),
    ];
    for (what, file) in inputs {
        let began = Instant::now();
        check(&file);
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: {:?}",
            began.elapsed()
        );
    }
}
