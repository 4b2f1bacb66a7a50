exports.main = (p) => ({body: {id: p.__ow_path, who: p.who}, statusCode: 200})
