// Greets somebody.
function main (params) {
  console.log('params:', params);
  return { payload: `Hello, ${params.name || 'stranger'} from ${params.place || 'somewhere'}!` };
}
