// Grids of more than 65535 workgroups are two-dimensional; this is the place of a workgroup in such a grid.

fn linear_workgroup(id: vec3<u32>, size: vec3<u32>) -> u32 {
    return id.y * size.x + id.x;
}
