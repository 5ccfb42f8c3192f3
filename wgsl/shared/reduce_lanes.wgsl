// Combines whole numbers of the 32 lanes of a head. `alone`: no other head is in the subgroup.

fn max_of_lanes(x: u32, alone: bool) -> u32 {
    if alone {
        return subgroupMax(x);
    }
    var m = x;
#repeat S 5
    m = max(m, subgroupShuffleXor(m, 1u << S));
#end
    return m;
}

fn sum_of_lanes(x: u32, alone: bool) -> u32 {
    if alone {
        return subgroupAdd(x);
    }
    var m = x;
#repeat S 5
    m += subgroupShuffleXor(m, 1u << S);
#end
    return m;
}
