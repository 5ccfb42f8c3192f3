// The largest `x` of all lanes of a head.
//
// Words: LANES, LOG_LANES.

fn max_of_head(x: u32) -> u32 {
    var m = x;
#repeat S LOG_LANES
    m = max(m, subgroupShuffleXor(m, 1u << S));
#end
    return m;
}

// Whether `x` holds for any head that shares a subgroup with this one: control flow around subgroup operations
// has to be the same for all of them.
fn any_head(x: bool) -> bool {
#if LANES == 1
    return x;
#else
    return subgroupAny(x);
#endif
}
