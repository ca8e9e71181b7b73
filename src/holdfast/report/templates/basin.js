for (const place of document.querySelectorAll(".chart")) draw(place.id);
