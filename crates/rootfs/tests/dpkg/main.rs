//! Roots and databases compared with what dpkg itself makes of the same packages in the same order.

mod compare;
mod install;
mod unpack;
