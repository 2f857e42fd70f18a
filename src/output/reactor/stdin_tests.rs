//! Standard input of processes.

use super::*;

#[test]
fn standard_input_is_queued_within_a_bound_and_its_closing_is_reported() {
    let bench = Bench::new("stdin", Level::Info);
    let ends = bench.prepare(INSTANCE, spec("cat"), bench.paths());
    let write = |data: Vec<u8>| {
        bench
            .output
            .send(OutputCommand::Effect(OutputEffect::WriteStdin {
                ticket: Ticket(1),
                instance: INSTANCE,
                data,
            }));
        match bench.next() {
            OutputReport::Outcome(OutputOutcome::Answered {
                ticket: Ticket(1),
                result,
            }) => result,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(write(vec![b'a'; 900_000]), Ok(()));
    assert_eq!(write(vec![b'b'; 100_000]), Ok(()));
    assert_eq!(
        write(vec![b'c'; 900_000]),
        Err(errno(nix::errno::Errno::EAGAIN))
    );
    let mut stdin = ends.stdin;
    let mut data = vec![0; 1_000_000];
    stdin.read_exact(&mut data).expect("all of it");
    assert!(data[..900_000].iter().all(|&byte| byte == b'a'));
    assert!(data[900_000..].iter().all(|&byte| byte == b'b'));
    assert_eq!(write(vec![b'd'; 3_000_000]), Ok(()), "one long message");
    drop(stdin);
    let gone = Err(errno(nix::errno::Errno::EPIPE));
    assert_eq!(write(b"e".to_vec()), gone);
    assert_eq!(write(b"f".to_vec()), gone);
    bench.drain(INSTANCE);
    assert_eq!(write(b"g".to_vec()), gone, "of a life that is over");
}

#[test]
fn cfg_59_a_process_with_a_socket_has_no_pipe_for_standard_input() {
    let bench = Bench::new("socket", Level::Info);
    let mut spec = spec("cat");
    spec.kind = ProcessKind::Fcgi(Arc::new(FcgiSocket {
        program: Arc::from("cat"),
        url: "unix:///x".to_owned(),
        mode: None,
        owner: (None, None),
        backlog: None,
    }));
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::Prepare(
            INSTANCE,
            Arc::new(spec),
            bench.paths(),
        )));
    match bench.next() {
        OutputReport::Prepared(INSTANCE, ends) => assert!(ends.stdin.is_none()),
        other => panic!("not prepared: {other:?}"),
    }
    bench
        .output
        .send(OutputCommand::Effect(OutputEffect::WriteStdin {
            ticket: Ticket(1),
            instance: INSTANCE,
            data: b"x".to_vec(),
        }));
    match bench.next() {
        OutputReport::Outcome(OutputOutcome::Answered {
            ticket: Ticket(1),
            result,
        }) => {
            assert_eq!(result, Err(errno(nix::errno::Errno::EPIPE)));
        }
        other => panic!("{other:?}"),
    }
    bench.drain(INSTANCE);
}
