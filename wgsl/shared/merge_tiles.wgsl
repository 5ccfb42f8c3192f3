// Reduces a value of every invocation for four tiles to four places of workgroup memory.
//
// Words: TO the array of atomics, ELEMENT its type, ATOMIC and LANES the operations, IDLE what changes nothing;
// import it with merge=NAME and these. SUBGROUP: by subgroups first.

fn merge(at: u32, x: vec4<ELEMENT>, lane: u32) {
#ifdef SUBGROUP
    let all = vec4<ELEMENT>(LANES(x.x), LANES(x.y), LANES(x.z), LANES(x.w));
    let mine = lane == 0u;
#else
    let all = x;
    let mine = true;
#endif
#repeat J 4
    if mine && all[J] != IDLE {
        ATOMIC(&TO[at + J], all[J]);
    }
#end
}
