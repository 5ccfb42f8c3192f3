// Combines one number per block (per lane and block, where a block is in several lanes) over the rotation group;
// every block gets the result. The order is a binary tree over the index bits, lowest first.
//
// Words: those of tile; ELEMENT a type, COMBINE a symmetric function of two; STAGES 3 for whole groups, 1 for scale
// blocks of at most 32 values. Import it with reduce_group=NAME.

#import tile

fn reduce_group(parts: array<ELEMENT, BLOCKS>, sizes: Blocks) -> array<ELEMENT, BLOCKS> {
    var x = parts;
#if LANES == 32
    x[0] = COMBINE(x[0], subgroupShuffleXor(x[0], 1u));
    x[0] = COMBINE(x[0], subgroupShuffleXor(x[0], 2u));
#endif
#repeat S STAGES
#if LANES == 1
    {
        let y = x;
#repeat B BLOCKS
        x[B] = select(y[B], COMBINE(y[B], y[B ^ (1 << S)]), sizes[B] > (16u << S));
#end
    }
#else
    x[0] = select(x[0], COMBINE(x[0], subgroupShuffleXor(x[0], (LANES / 8u) << S)), sizes[0] > (16u << S));
#endif
#end
    return x;
}
