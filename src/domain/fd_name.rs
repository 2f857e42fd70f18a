//! What a successor of the daemon inherits, by name: descriptors travel as numbers through an exec, or through a process
//! that keeps them, and a name says what each is. It must not know how they travel.

use super::InstanceId;

/// The first letters of the names of what is stored together for one instance: [`FdName::Stdin`], [`FdName::Stdout`],
/// [`FdName::Stderr`] and [`FdName::Pidfd`].
pub const INSTANCE_LETTERS: [char; 4] = ['i', 'o', 'e', 'p'];

/// One descriptor of the daemon that outlives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FdName {
    /// The core as it was when groups last changed, and what has become of each process since.
    State,
    /// All of it, as a daemon that ended on purpose left it.
    Handoff,
    /// Memory into which pipes are read, the older one first.
    InFlightLog(usize),
    /// The client's end of the fd holder's socket.
    Holder,
    /// Our end of a process's standard input.
    Stdin(InstanceId),
    /// Our end of its standard output.
    Stdout(InstanceId),
    /// Our end of its standard error.
    Stderr(InstanceId),
    /// Its pidfd.
    Pidfd(InstanceId),
    /// The socket on which it tells of itself.
    NotifySocket(InstanceId),
    /// The pipe on which it tells that it is ready.
    ReadyPipe(InstanceId),
    /// The listening socket of a FastCGI program, and whose it is, by its place: the first one that was free.
    FcgiSocket(usize),
    /// A listening socket of a server of ours, by its place in the list of them.
    Server(usize),
}

impl FdName {
    /// Its name: at most 21 bytes, lower case letters and digits. The incarnation alone tells instances apart, for no two have
    /// the same.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::State => "state".to_owned(),
            Self::InFlightLog(place) => format!("g{place}"),
            Self::Holder => "keeper".to_owned(),
            Self::Handoff => "handover".to_owned(),
            Self::Stdin(instance) => format!("i{}", instance.incarnation),
            Self::Stdout(instance) => format!("o{}", instance.incarnation),
            Self::Stderr(instance) => format!("e{}", instance.incarnation),
            Self::Pidfd(instance) => format!("p{}", instance.incarnation),
            Self::NotifySocket(instance) => format!("n{}", instance.incarnation),
            Self::ReadyPipe(instance) => format!("y{}", instance.incarnation),
            Self::FcgiSocket(place) => format!("f{place}"),
            Self::Server(place) => format!("s{place}"),
        }
    }

    /// The name under which descriptors of one instance are stored together: which of [`INSTANCE_LETTERS`] there are, in that order,
    /// and the incarnation. The last descriptor may be missing: a process has pipes before it has a pidfd.
    #[must_use]
    pub fn of_instance(instance: InstanceId, has: [bool; INSTANCE_LETTERS.len()]) -> String {
        let letters = INSTANCE_LETTERS.into_iter().zip(has);
        let letters: String = letters
            .filter_map(|(letter, has)| has.then_some(letter))
            .collect();
        format!("{letters}{}", instance.incarnation)
    }

    /// Takes a name apart under which descriptors of one instance are stored: their places in [`INSTANCE_LETTERS`], and the
    /// incarnation. `None`: it is another name.
    #[must_use]
    pub fn places_in(name: &str) -> Option<(Vec<usize>, u64)> {
        let place = |letter| INSTANCE_LETTERS.iter().position(|&one| one == letter);
        let begin = name.find(|letter: char| place(letter).is_none())?;
        let (letters, number) = name.split_at(begin);
        let places: Vec<usize> = letters.chars().filter_map(place).collect();
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let in_order = !places.is_empty() && places.is_sorted_by(|one, next| one < next);
        (in_order && is_number).then_some((places, number.parse().ok()?))
    }

    /// The names of the single descriptors that are stored together under `name`; itself, if it stands for no instance's.
    #[must_use]
    pub fn names_in(name: &str) -> Vec<String> {
        match Self::places_in(name) {
            Some((places, incarnation)) => places
                .into_iter()
                .map(|place| format!("{}{incarnation}", INSTANCE_LETTERS[place]))
                .collect(),
            None => vec![name.to_owned()],
        }
    }

    /// The incarnation of the instance that has something of this name; none: it is not of an instance.
    #[must_use]
    pub fn incarnation_in(name: &str) -> Option<u64> {
        name.strip_prefix(['i', 'o', 'e', 'p', 'n', 'y'])?
            .parse()
            .ok()
    }

    /// Whether a listening socket of a server of ours has this name.
    #[must_use]
    pub fn is_server(name: &str) -> bool {
        let place = name.strip_prefix('s').map(str::parse::<usize>);
        place.is_some_and(|place| place.is_ok())
    }

    /// The place of the FastCGI socket that has this name; none: it is not of one.
    #[must_use]
    pub fn socket_place_in(name: &str) -> Option<usize> {
        name.strip_prefix('f')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_have_one_name() {
        let instance = |slot| InstanceId {
            slot,
            incarnation: u64::MAX - u64::from(slot),
        };
        let all = [
            FdName::Stdin(instance(1)),
            FdName::Stdout(instance(1)),
            FdName::Stderr(instance(1)),
            FdName::Pidfd(instance(1)),
            FdName::Pidfd(instance(2)),
            FdName::State,
            FdName::Holder,
            FdName::InFlightLog(1),
            FdName::Handoff,
            FdName::NotifySocket(instance(1)),
            FdName::ReadyPipe(instance(1)),
            FdName::FcgiSocket(1),
            FdName::Server(1),
        ];
        let names: std::collections::BTreeSet<String> =
            all.iter().map(|fd_name| fd_name.name()).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| name.len() <= 21));
        // Half of them are an instance's, and one is a socket.
        let instances = all.map(|fd_name| FdName::incarnation_in(&fd_name.name()));
        assert_eq!(instances.iter().flatten().count(), 7);
        assert!(instances.contains(&Some(u64::MAX - 1)) && instances.contains(&Some(u64::MAX - 2)));
        let places = all.map(|fd_name| FdName::socket_place_in(&fd_name.name()));
        assert!(places.iter().flatten().eq([&1]));
        let servers = names.iter().filter(|name| FdName::is_server(name));
        assert!(servers.eq(["s1"]));
    }

    #[test]
    fn what_one_instance_has_is_stored_under_one_name() {
        let instance = InstanceId {
            slot: 3,
            incarnation: 17,
        };
        for (has, name, names) in [
            ([true; 4], "ioep17", &["i17", "o17", "e17", "p17"][..]),
            ([false, true, false, true], "op17", &["o17", "p17"]),
            ([false, false, false, true], "p17", &["p17"]),
        ] {
            assert_eq!(FdName::of_instance(instance, has), name);
            assert_eq!(FdName::names_in(name), names);
            let places: Vec<usize> = (0..4).filter(|&place| has[place]).collect();
            assert_eq!(FdName::places_in(name), Some((places, 17)));
        }
        // Letters in another order, twice, or without a number; and what is of no instance.
        for name in [
            "oi17", "oo17", "op", "17", "", "state", "keeper", "n17", "y17", "op+17", "g0",
        ] {
            assert_eq!(FdName::places_in(name), None, "{name}");
            assert_eq!(FdName::names_in(name), [name]);
        }
    }
}
