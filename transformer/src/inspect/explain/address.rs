//! The address of a number: a dotted name and indices.
//!
//! A matrix is `name[row,column]`; a single column or row is `name[i]`; attention matrices are
//! `name[head,query,key]`.

use super::{Explanation, Node};
use linalg::Real;
use std::fmt;
use thiserror::Error;

/// A quantity of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// The value itself.
    Value,
    /// dloss/dvalue.
    Gradient,
    /// A parameter's gradient after clipping.
    Clipped,
    /// The optimizer state of a parameter, by its index.
    Remembered(usize),
    /// A parameter after the update.
    Updated,
}

/// One number of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) node: usize,
    pub(super) quantity: Quantity,
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Place {
    /// The same element of another quantity: its gradient or its update.
    #[must_use]
    pub fn of(self, quantity: Quantity) -> Self {
        Place { quantity, ..self }
    }
}

/// An address that names no number.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not of the form `name[…]`.
    #[error("{found:?} is not an address; write name[row,column], for example {example}")]
    Form {
        /// The given text.
        found: String,
        /// An address of this step, as an example.
        example: String,
    },
    /// A name that the step does not have.
    #[error("there is no {found:?} in this step{}; --list shows every name", similar(near))]
    Name {
        /// The given name.
        found: String,
        /// Similar names.
        near: Vec<String>,
    },
    /// Indices that are too many, too few or too large.
    #[error("[{found}] is not an element of {name}; its indices are {axes}")]
    Indices {
        /// The name.
        name: String,
        /// Its indices and their ranges.
        axes: String,
        /// The given indices.
        found: String,
    },
    /// A quantity that this value does not have.
    #[error("{name} is {what}: it has no {quantity}")]
    Quantity {
        /// The name.
        name: String,
        /// The kind of value.
        what: &'static str,
        /// The requested quantity.
        quantity: &'static str,
    },
}

fn similar(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}", near.join(" or ")) }
}

impl<T: Real> Explanation<T> {
    /// Returns the ranges of a value's indices, by name.
    pub(super) fn axes(&self, node: usize) -> Vec<(&'static str, usize)> {
        let node = &self.nodes[node];
        let shape = node.shape;
        match node.heads {
            Some(heads) => {
                vec![("head", heads), ("query", shape.columns / heads), ("key", shape.rows)]
            }
            None if shape.columns == 1 => vec![("row", shape.rows)],
            None if shape.rows == 1 => vec![("column", shape.columns)],
            None => vec![("row", shape.rows), ("column", shape.columns)],
        }
    }

    /// Returns the number that an address names, as a value.
    ///
    /// # Errors
    /// If it names no number; the message says which addresses would.
    pub fn place(&self, address: &str) -> Result<Place, AddressError> {
        let form = || {
            let last = self.nodes.len() - 1;
            let example = self.nodes.iter().rposition(|n| n.heads.is_some()).unwrap_or(last);
            AddressError::Form { found: address.to_owned(), example: self.named(example, 0, 0) }
        };
        let (name, indices) = address.trim().split_once('[').ok_or_else(form)?;
        let indices = indices.strip_suffix(']').ok_or_else(form)?;
        let Some(&node) = self.names.get(name) else {
            let last = name.rsplit('.').next().unwrap_or(name);
            let like = |n: &&String| !last.is_empty() && (n.contains(name) || n.ends_with(last));
            let mut near: Vec<String> = self.names.keys().filter(like).cloned().collect();
            near.sort_by_key(|n| (n.len(), n.clone()));
            near.truncate(3);
            return Err(AddressError::Name { found: name.to_owned(), near });
        };
        let axes = self.axes(node);
        let wrong = || AddressError::Indices {
            name: name.to_owned(),
            axes: axes
                .iter()
                .map(|(axis, n)| format!("{axis} 0 to {}", n - 1))
                .collect::<Vec<_>>()
                .join(", "),
            found: indices.escape_debug().to_string(),
        };
        let given: Option<Vec<usize>> =
            indices.split([',', ';']).map(|i| i.trim().parse().ok()).collect();
        let mut given = given.ok_or_else(wrong)?;
        let shape = self.nodes[node].shape;
        // A vector accepts both of its indices, too.
        if axes.len() == 1 && given.len() == 2 {
            let other = if shape.columns == 1 { given.remove(1) } else { given.remove(0) };
            if other != 0 {
                return Err(wrong());
            }
        }
        if given.len() != axes.len() || given.iter().zip(&axes).any(|(i, (_, n))| i >= n) {
            return Err(wrong());
        }
        let (row, column) = match (self.nodes[node].heads, &given[..]) {
            (Some(_), &[head, query, key]) => (key, head * shape.rows + query),
            (_, &[row, column]) => (row, column),
            (_, &[i]) if shape.columns == 1 => (i, 0),
            (_, &[i]) => (0, i),
            _ => return Err(wrong()),
        };
        Ok(Place { node, quantity: Quantity::Value, row, column })
    }

    /// Returns the same element of another quantity.
    ///
    /// # Errors
    /// If the value does not have it: tokens have no gradient, only parameters are updated.
    pub fn as_quantity(&self, place: Place, quantity: Quantity) -> Result<Place, AddressError> {
        if self.has(place.node, quantity) {
            return Ok(place.of(quantity));
        }
        let node = &self.nodes[place.node];
        let (what, quantity) = match quantity {
            Quantity::Gradient => ("given, and cannot move", "gradient"),
            _ if node.operation.is_some() => ("computed, and not learned", "update"),
            _ => ("given, and not learned", "update"),
        };
        Err(AddressError::Quantity { name: node.name.clone(), what, quantity })
    }

    /// Returns the address of an element.
    pub(super) fn named(&self, node: usize, row: usize, column: usize) -> String {
        let Node { name, shape, heads, .. } = &self.nodes[node];
        match heads {
            Some(_) => {
                format!("{name}[{},{},{row}]", column / shape.rows, column % shape.rows)
            }
            None if shape.columns == 1 => format!("{name}[{row}]"),
            None if shape.rows == 1 => format!("{name}[{column}]"),
            None => format!("{name}[{row},{column}]"),
        }
    }

    /// Returns the address with its quantity: `gradient of W[0,1]`.
    pub fn describe(&self, place: &Place) -> String {
        let name = self.named(place.node, place.row, place.column);
        match place.quantity {
            Quantity::Value => name,
            Quantity::Gradient => format!("gradient of {name}"),
            Quantity::Clipped => format!("clipped gradient of {name}"),
            Quantity::Remembered(k) => {
                format!("{} of {name}", self.remembered[k].0.replace('_', " "))
            }
            Quantity::Updated => format!("updated {name}"),
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Value => "value",
            Quantity::Gradient => "gradient",
            Quantity::Clipped => "clipped gradient",
            Quantity::Remembered(_) => "optimizer state",
            Quantity::Updated => "updated",
        })
    }
}
