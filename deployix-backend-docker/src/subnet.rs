//! Addresses for networks: a range cut into small blocks, each network's place in it found from
//! its name.
//!
//! Docker's own pool holds some thirty networks and numbers them in the order they are made, so
//! a firewall could not name them beforehand. Here a network's block follows from a hash of its
//! name, and the next free one is taken where two names meet: adding a network leaves all others
//! where they are, but for the rare one that had been moved on behind it. The names of the
//! deployment and the target are hashed as well, so that those of others on one engine seldom
//! meet.

use std::{collections::BTreeMap, net::Ipv4Addr};

use deployix_core::Digest;
use ipnet::Ipv4Net;

/// The smallest block: sixteen addresses, of which the network, the gateway and the broadcast take
/// three. Most networks are of this size, so another replica seldom changes one.
const SMALLEST: u8 = 28;

/// The networks' blocks, or the names of those for which the range has no room.
///
/// `whose` is whose networks they are, and `wanted` gives each network's number of containers.
pub(crate) fn allocate(
    range: Ipv4Net,
    whose: &str,
    wanted: &BTreeMap<String, usize>,
) -> Result<BTreeMap<String, Ipv4Net>, Vec<String>> {
    // Large blocks first: they need a run of slots that small ones would break up.
    let mut order: Vec<(u8, &String)> =
        wanted.iter().map(|(name, members)| (prefix_for(*members), name)).collect();
    order.sort();
    let mut taken = Taken::default();
    let mut blocks = BTreeMap::new();
    let mut homeless = Vec::new();
    for (prefix, name) in order {
        match find(range, prefix, &format!("{whose}/{name}"), &taken) {
            Some(block) => {
                taken.add(block);
                blocks.insert(name.clone(), block);
            }
            None => homeless.push(name.clone()),
        }
    }
    if homeless.is_empty() { Ok(blocks) } else { Err(homeless) }
}

/// The address that the engine gives to the host's end of a network.
pub(crate) fn gateway(block: Ipv4Net) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(block.network()) + 1)
}

/// The longest prefix whose block holds so many containers besides the three addresses above.
fn prefix_for(members: usize) -> u8 {
    let addresses = (members + 3).next_power_of_two().max(16);
    // At most 2^32 containers: the exponent fits.
    32 - u8::try_from(addresses.trailing_zeros()).unwrap_or(32).min(32)
}

fn find(range: Ipv4Net, prefix: u8, name: &str, taken: &Taken) -> Option<Ipv4Net> {
    debug_assert!(prefix <= SMALLEST);
    let slots = 1u64 << prefix.checked_sub(range.prefix_len())?;
    let hash = Digest::of_bytes(name.as_bytes());
    let first = hash.as_bytes()[..8].iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte)) % slots;
    (0..slots).map(|step| (first + step) % slots).find_map(|slot| {
        // Below 2^32, since the slots tile the range.
        let offset = u32::try_from(slot << (32 - u32::from(prefix))).ok()?;
        let address = Ipv4Addr::from(u32::from(range.network()) + offset);
        let block = Ipv4Net::new(address, prefix).ok()?;
        (!taken.overlaps(block)).then_some(block)
    })
}

/// Blocks by their first address; none overlaps another.
#[derive(Default)]
struct Taken(BTreeMap<Ipv4Addr, Ipv4Net>);

impl Taken {
    fn add(&mut self, block: Ipv4Net) {
        self.0.insert(block.network(), block);
    }

    fn overlaps(&self, block: Ipv4Net) -> bool {
        // Of disjoint blocks, the last that starts no later than `block` ends is the only suspect.
        let before = self.0.range(..=block.broadcast()).next_back();
        before.is_some_and(|(_, other)| other.broadcast() >= block.network())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn range(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn wanted(names: impl IntoIterator<Item = (String, usize)>) -> BTreeMap<String, usize> {
        names.into_iter().collect()
    }

    #[test]
    fn blocks_are_as_small_as_they_can_be() {
        assert_eq!([1, 13, 14, 29, 30].map(prefix_for), [28, 28, 27, 27, 26]);
        assert_eq!(gateway(range("10.0.0.8/29")), Ipv4Addr::new(10, 0, 0, 9));
    }

    #[test]
    fn a_full_range_names_who_has_no_room() {
        let names = wanted((0..9).map(|i| (format!("n{i}"), 2)));
        let homeless = allocate(range("10.0.0.0/25"), "shop/box", &names).unwrap_err();
        assert_eq!(homeless.len(), 1);
        assert_eq!(
            allocate(range("10.0.0.0/26"), "shop/box", &wanted([("a".into(), 300)])).unwrap_err(),
            ["a"]
        );
    }

    #[test]
    fn thousands_of_networks_fit_and_one_more_moves_hardly_any() {
        let names = wanted((0..2000).map(|i| (format!("web-{i}_db"), 2)));
        let before = allocate(range("10.213.0.0/16"), "shop/box", &names).unwrap();
        let mut more = names;
        more.insert("web-new_db".into(), 2);
        let after = allocate(range("10.213.0.0/16"), "shop/box", &more).unwrap();
        let moved = before.iter().filter(|(name, block)| after[*name] != **block).count();
        assert!(moved < 20, "{moved} moved");
    }

    #[test]
    fn networks_of_one_name_lie_elsewhere_for_another_deployment() {
        let names = wanted([("web_db".into(), 2)]);
        let range = range("10.213.0.0/16");
        let blocks = ["shop/box", "shop/rack", "bank/box"].map(|w| allocate(range, w, &names));
        let distinct: std::collections::BTreeSet<_> = blocks.iter().flatten().collect();
        assert_eq!(distinct.len(), 3);
    }

    proptest! {
        #[test]
        fn blocks_lie_in_the_range_and_never_overlap(
            sizes in proptest::collection::btree_map("[a-z]{1,6}", 1usize..30, 0..60),
        ) {
            let range = range("10.213.0.0/19");
            let blocks = allocate(range, "shop/box", &sizes).unwrap();
            let mut sorted: Vec<_> = blocks.values().copied().collect();
            sorted.sort();
            prop_assert!(sorted.windows(2).all(|pair| pair[0].broadcast() < pair[1].network()));
            for (name, block) in &blocks {
                prop_assert!(range.contains(block));
                prop_assert!(1usize << (32 - block.prefix_len()) >= sizes[name] + 3);
            }
        }
    }
}
