//! One lock gives the same bits, whoever builds it, where and how.
