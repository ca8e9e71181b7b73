for (const name of ["tradeoff", "course"]) draw(name);
