for (const name of ["plane", "steps"]) draw(name);
