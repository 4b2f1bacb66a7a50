function main(p) { return {text: `${p.greeting}, ${p.name} of ${p.place} ${p.count} ${p.cost}`} }
