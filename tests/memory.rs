//! Pictures' memory goes back to the system. A process of its own: what other tests have freed would
//! decide where blocks lie.

#![cfg(all(test, target_env = "gnu"))]

#[test]
fn a_picture_has_pages_of_its_own_whatever_was_freed_before() {
    vedette::sys::give_back_large_blocks();
    drop(vec![1_u8; 4 << 20]);
    let pictures: Vec<Vec<u8>> = (0..8).map(|_| vec![1; 200_000]).collect();
    // A block with pages of its own begins behind the two words of its header.
    assert!(pictures.iter().all(|p| p.as_ptr().addr() % 4096 == 2 * size_of::<usize>()));
}
