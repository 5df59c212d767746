//! [`OrderedMap`]: a map of few entries.

use std::{borrow::Borrow, fmt, marker::PhantomData, ops::Index, slice, vec};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A map of few entries, in the order of their keys; used like a `BTreeMap`.
///
/// A service has a variable or two, a resource a handful of settings. A `BTreeMap` makes room for
/// eleven entries with the first one; of tens of thousands of these maps that room would be most
/// of what a deployment takes.
///
/// Invariant: the entries are sorted by their keys, and no key is there twice.
///
/// ```
/// use deployix_core::OrderedMap;
///
/// let mut map: OrderedMap<&str, u32> = OrderedMap::from([("b", 2), ("a", 1)]);
/// map.insert("c", 3);
/// assert_eq!(map.get("b"), Some(&2));
/// assert_eq!(map.keys().copied().collect::<String>(), "abc");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> OrderedMap<K, V> {
    /// A map of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entries, in order.
    pub fn iter(&self) -> Iter<'_, K, V> {
        self.entries.iter().map(by_reference)
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> + ExactSizeIterator {
        self.entries.iter_mut().map(|(_, value)| value)
    }
}

impl<K: Ord, V> OrderedMap<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| &self.entries[at].1)
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| &mut self.entries[at].1)
    }

    /// Whether a key is there.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.position(key).is_ok()
    }

    /// Puts an entry in; gives the value that the key had before.
    pub fn insert(&mut self, key: impl Into<K>, value: V) -> Option<V> {
        let key = key.into();
        match self.position(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.entries[at].1, value)),
            Err(at) => {
                self.entries.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes an entry out; gives its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.position(key).ok().map(|at| self.entries.remove(at).1)
    }

    fn position<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.entries.binary_search_by(|(own, _)| own.borrow().cmp(key))
    }

    /// Of entries with one key the last one counts.
    fn of(mut entries: Vec<(K, V)>) -> Self {
        if !entries.is_sorted_by(|(before, _), (after, _)| before < after) {
            entries.sort_by(|(before, _), (after, _)| before.cmp(after));
            entries.dedup_by(|later, first| {
                let same = later.0 == first.0;
                if same {
                    std::mem::swap(&mut later.1, &mut first.1);
                }
                same
            });
        }
        entries.shrink_to_fit();
        Self { entries }
    }
}

impl<K, V> Default for OrderedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of a key that is there; panics where it is not.
impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for OrderedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        match self.position(key) {
            Ok(at) => &self.entries[at].1,
            Err(_) => panic!("the key is not in the map"),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for OrderedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl<K: Serialize, V: Serialize> Serialize for OrderedMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for OrderedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> de::Visitor<'de> for Entries<K, V> {
            type Value = OrderedMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(OrderedMap::of(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<Q: Into<K>, K: Ord, V> FromIterator<(Q, V)> for OrderedMap<K, V> {
    fn from_iter<T: IntoIterator<Item = (Q, V)>>(iter: T) -> Self {
        Self::of(iter.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }
}

impl<Q: Into<K>, K: Ord, V, const N: usize> From<[(Q, V); N]> for OrderedMap<K, V> {
    fn from(entries: [(Q, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord, V> Extend<(K, V)> for OrderedMap<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, iter: T) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.extend(iter);
        *self = Self::of(entries);
    }
}

/// The entries of an [`OrderedMap`], in order.
pub type Iter<'a, K, V> = std::iter::Map<slice::Iter<'a, (K, V)>, fn(&(K, V)) -> (&K, &V)>;

fn by_reference<K, V>((key, value): &(K, V)) -> (&K, &V) {
    (key, value)
}

impl<'a, K, V> IntoIterator for &'a OrderedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<K, V> IntoIterator for OrderedMap<K, V> {
    type Item = (K, V);
    type IntoIter = vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_btree_map_does(
            first in prop::collection::vec((0u8..8, 0u8..), 0..12),
            then in prop::collection::vec((0u8..8, 0u8..), 0..12),
            put in (0u8..8, 0u8..),
            gone in 0u8..8,
        ) {
            let mut map: OrderedMap<u8, u8> = first.iter().copied().collect();
            let mut model: BTreeMap<u8, u8> = first.into_iter().collect();
            map.extend(then.iter().copied());
            model.extend(then);
            prop_assert_eq!(map.insert(put.0, put.1), model.insert(put.0, put.1));
            prop_assert_eq!(map.remove(&gone), model.remove(&gone));
            prop_assert_eq!(map.len(), model.len());
            for key in 0..8 {
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert_eq!(map.contains_key(&key), model.contains_key(&key));
            }
            let text = serde_json::to_string(&map)?;
            prop_assert_eq!(&text, &serde_json::to_string(&model)?);
            prop_assert_eq!(&serde_json::from_str::<OrderedMap<u8, u8>>(&text)?, &map);
            prop_assert!(map.into_iter().eq(model));
        }
    }
}
