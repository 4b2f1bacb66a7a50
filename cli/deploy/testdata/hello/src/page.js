function main(p) { return {body: `<h1>${p.greeting}</h1>`} }
