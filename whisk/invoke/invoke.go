// Package invoke carries one call of an action from request to record: throttle,
// merge of parameters, queue, warm instance, run, record.
package invoke
