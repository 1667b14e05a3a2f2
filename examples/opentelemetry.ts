// Traces with OpenTelemetry. ottla tells of each send and each delivery on diagnostics channels of Node's, and the ten
// statements from here to `subscribe` hook them up. The context of a trace travels in the header `traceparent` (W3C), so
// the trace goes on in whichever process handles the message.
import { tracingChannel } from 'node:diagnostics_channel'
import { context, propagation, type Span, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { Broker, type DeliverDiagnostics, json, type MessageHeaders, type SendDiagnostics, Topic } from 'ottla'

const tracer = trace.getTracer('ottla')
const spans = new WeakMap<object, Span>()
const fail = (traced: { error?: unknown }) => spans.get(traced)?.recordException(String(traced.error))
const end = (traced: object) => spans.get(traced)?.end()
const pairs = { set: (headers: unknown[], name: string, value: string) => headers.push([name, value]) }
const received = { get: (headers: MessageHeaders, name: string) => headers.get(name), keys: () => ['traceparent'] }

function onSend(send: SendDiagnostics): void {
  const span = tracer.startSpan(`send ${send.topic}`, { kind: SpanKind.PRODUCER })
  spans.set(send, span)
  for (const { headers } of send.messages) propagation.inject(trace.setSpan(context.active(), span), headers, pairs)
}

function onDeliver(delivered: DeliverDiagnostics): void {
  const [first] = delivered.messages
  const parent = first ? propagation.extract(context.active(), first.headers, received) : context.active()
  const span = tracer.startSpan(`handle ${delivered.topic}`, { kind: SpanKind.CONSUMER }, parent)
  spans.set(delivered, span)
  delivered.around = (handle) => context.with(trace.setSpan(parent, span), handle)
}

const listeners = { end() {}, asyncStart() {}, asyncEnd: end, error: fail }
tracingChannel<unknown, SendDiagnostics>('ottla:send').subscribe({ ...listeners, start: onSend })
tracingChannel<unknown, DeliverDiagnostics>('ottla:deliver').subscribe({ ...listeners, start: onDeliver })

// What an application with OpenTelemetry has already: here the spans are kept in memory.
const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
trace.setGlobalTracerProvider(provider)
propagation.setGlobalPropagator(new W3CTraceContextPropagator())
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const orders = new Topic('orders', { value: json<{ id: string }>() })
const invoices = new Topic('invoices', { value: json<{ order: string }>() })
const broker = await Broker.open()
await broker.topic(orders)
await broker.topic(invoices)
const producer = broker.producer()

const billing = broker.consumerGroup('billing', { topics: [orders] })
await billing.run(async ({ value }) => {
  await tracer.startActiveSpan('charge the card', async (span) => span.end())
  await producer.send(invoices, { value: { order: value.id } })
})
const mailing = broker.consumerGroup('mailing', { topics: [invoices] })
await mailing.run(({ headers }) => console.log('the invoice came with a traceparent:', headers.has('traceparent')))

await tracer.startActiveSpan('place an order', async (span) => {
  await producer.send(orders, { value: { id: '17' } })
  span.end()
})
await broker.idle()
await broker.close()

const finished = exporter.getFinishedSpans()
const print = (parentId: string | undefined, indent: string): void => {
  for (const span of finished.filter(({ parentSpanContext }) => parentSpanContext?.spanId === parentId)) {
    console.log(indent + span.name)
    print(span.spanContext().spanId, `${indent}  `)
  }
}
print(undefined, '')
console.log('traces:', new Set(finished.map((span) => span.spanContext().traceId)).size)
