//! Names of the descriptors that outlive the daemon. They pass through an exec as numbers, or through the fd holder;
//! the name says what each is.

use super::InstanceId;

/// The first letters of names of descriptors that are stored together for one instance: [`FdName::Stdin`],
/// [`FdName::Stdout`], [`FdName::Stderr`] and [`FdName::Pidfd`].
pub const INSTANCE_LETTERS: [char; 4] = ['i', 'o', 'e', 'p'];

/// A descriptor of the daemon that outlives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FdName {
    /// The snapshot of the core from the last change of groups, and the records of processes since then.
    State,
    /// The handoff of a daemon that ended on purpose.
    Handoff,
    /// An in-flight log, by its index: memory into which pipes are read.
    InFlightLog(usize),
    /// The client's end of the fd holder's socket.
    Holder,
    /// The daemon's end of a process's standard input.
    Stdin(InstanceId),
    /// The daemon's end of its standard output.
    Stdout(InstanceId),
    /// The daemon's end of its standard error.
    Stderr(InstanceId),
    /// Its pidfd.
    Pidfd(InstanceId),
    /// Its notify socket.
    NotifySocket(InstanceId),
    /// The pipe on which it reports readiness.
    ReadyPipe(InstanceId),
    /// The listening socket of a FastCGI program with its description, by its index: the lowest free one.
    FcgiSocket(usize),
    /// A listening socket of one of the daemon's servers, by its index in the list of servers.
    Server(usize),
}

impl FdName {
    /// Returns the name: at most 21 bytes of lower case letters and digits. The incarnation identifies the instance,
    /// since no two instances have the same.
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

    /// Returns the name under which descriptors of one instance are stored together: the letters of
    /// [`INSTANCE_LETTERS`] that are present, in that order, and the incarnation. The last descriptor may be missing,
    /// since a process has pipes before it has a pidfd.
    #[must_use]
    pub fn of_instance(instance: InstanceId, has: [bool; INSTANCE_LETTERS.len()]) -> String {
        let letters = INSTANCE_LETTERS.into_iter().zip(has);
        let letters: String = letters
            .filter_map(|(letter, has)| has.then_some(letter))
            .collect();
        format!("{letters}{}", instance.incarnation)
    }

    /// Parses a name under which descriptors of one instance are stored together. Returns their indices in
    /// [`INSTANCE_LETTERS`] and the incarnation. `None`: it is another name.
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

    /// Returns the names of the single descriptors that are stored together under `name`, or `name` itself if it
    /// belongs to no instance.
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

    /// Returns the incarnation of the instance that a descriptor with this name belongs to. `None`: it belongs to no
    /// instance.
    #[must_use]
    pub fn incarnation_in(name: &str) -> Option<u64> {
        name.strip_prefix(['i', 'o', 'e', 'p', 'n', 'y'])?
            .parse()
            .ok()
    }

    /// Returns the index of the server whose listening socket has this name. `None`: it is another name.
    #[must_use]
    pub fn server_place_in(name: &str) -> Option<usize> {
        name.strip_prefix('s')?.parse().ok()
    }

    /// Returns the index of the FastCGI socket with this name. `None`: it is another name.
    #[must_use]
    pub fn socket_place_in(name: &str) -> Option<usize> {
        name.strip_prefix('f')?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fd_names_are_unique() {
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
        // Seven of them belong to an instance, and one is a FastCGI socket.
        let instances = all.map(|fd_name| FdName::incarnation_in(&fd_name.name()));
        assert_eq!(instances.iter().flatten().count(), 7);
        assert!(instances.contains(&Some(u64::MAX - 1)) && instances.contains(&Some(u64::MAX - 2)));
        let places = all.map(|fd_name| FdName::socket_place_in(&fd_name.name()));
        assert!(places.iter().flatten().eq([&1]));
        let servers = names
            .iter()
            .filter_map(|name| FdName::server_place_in(name));
        assert!(servers.eq([1]));
    }

    #[test]
    fn descriptors_of_one_instance_share_one_name() {
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
        // Letters in the wrong order, twice, or without a number, and names that belong to no instance.
        for name in [
            "oi17", "oo17", "op", "17", "", "state", "keeper", "n17", "y17", "op+17", "g0",
        ] {
            assert_eq!(FdName::places_in(name), None, "{name}");
            assert_eq!(FdName::names_in(name), [name]);
        }
    }
}
