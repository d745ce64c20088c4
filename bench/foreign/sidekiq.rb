# Sidekiq on Redis: the Ruby side of the language of bench/internal/drill.
require "json"
require "logger"
require "redis"
require "sidekiq"
require "sidekiq/api"
require "sidekiq/launcher"

$stdout.sync = true
BASE = 1_000_000_000
TEXT = "twenty-two characters-"
ORDER = JSON.parse(ENV.fetch("BELLHOP_BENCH_ORDER"))
THREADS = ARGV[0] == "default" ? 10 : 25

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
def cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID, :float_microsecond)
def say(reply) = $stdout.puts(JSON.generate(reply))
def args_of(number) = {"n" => BASE + number, "text" => TEXT}

# The most memory that this process held at once, in bytes.
def peak = File.read("/proc/self/status")[/VmHWM:\s+(\d+)/, 1].to_i * 1024

class Ledger
  attr_reader :ran, :doubled, :took, :sent
  def initialize
    @lock, @runs, @doubled, @took, @sent = Mutex.new, {}, 0, [], []
  end

  def run(number)
    at = now
    @lock.synchronize do
      if @runs[number]
        @doubled += 1
      else
        @runs[number] = true
        @took[number - ORDER["first"]] = [((at - @sent[number - ORDER["first"]]) * 1e6).round, 1].max if @sent[number - ORDER["first"]]
      end
    end
  end

  def ran = @lock.synchronize { @runs.size }
end

LEDGER = Ledger.new

class BenchJob
  include Sidekiq::Worker
  def perform(args) = LEDGER.run(args["n"] - BASE)
end

class Session
  def enqueue(number) = BenchJob.perform_async(args_of(number))
  def enqueue_bulk(first, n) = Sidekiq::Client.push_bulk("class" => BenchJob, "args" => Array.new(n) { |i| [args_of(first + i)] })

  def work
    options = Sidekiq.options.merge(queues: ["default"], concurrency: THREADS, timeout: 5)
    launcher = Sidekiq::Launcher.new(options)
    launcher.run
    -> { launcher.quiet }
  end

  # What is in the queue, and in the hands of the threads.
  def left = Sidekiq::Queue.new.size + Sidekiq::Processor::WORKER_STATE.size
end

def start
  say(ready: true)
  $stdin.gets
  @cpu, @began = cpu, now
end

def finish(jobs)
  @reply = {jobs: jobs, seconds: now - @began, cpu: cpu - @cpu, peak: peak, lost: 0, doubled: 0}
  say(mark: true)
  $stdin.gets
end

def crew(n) = Array.new(n) { Thread.new { yield } }.each(&:join)

def put(session)
  (0...ORDER["jobs"]).step(1000) { |i| session.enqueue_bulk(ORDER["first"] + i, [1000, ORDER["jobs"] - i].min) }
end

def produce(session, callers, size)
  lock, made = Mutex.new, 0
  deadline = now + ORDER["seconds"]
  crew(callers) do
    while now < deadline
      sleep 0.001 while block_given? && yield(made)
      first = ORDER["first"] + lock.synchronize { (made += size) - size }
      size == 1 ? session.enqueue(first) : session.enqueue_bulk(first, size)
    end
  end
  made
end

def await(session, jobs, settle: true)
  limit = ORDER["limit"] > 0 ? now + ORDER["limit"] : Float::INFINITY
  ran, since = -1, now
  while LEDGER.ran < jobs && now < limit
    sleep 0.001
    ran, since = LEDGER.ran, now if LEDGER.ran != ran
    raise "stalled: #{ran} of #{jobs} jobs have run" if now - since > 40
  end
  sleep 0.001 while settle && session.left > 0
end

def judge(jobs)
  @reply[:lost] = [jobs - LEDGER.ran, 0].max
  @reply[:doubled] = LEDGER.doubled
end

def enqueue_only(session, callers, size)
  start
  made = produce(session, callers, size)
  finish(made)
  waiting = Sidekiq::Queue.new.size
  @reply[:lost], @reply[:doubled] = [made - waiting, 0].max, [waiting - made, 0].max
end

def drain(session)
  jobs = ORDER["jobs"]
  start
  stop = session.work
  await(session, jobs, settle: ORDER["limit"] == 0)
  jobs = [jobs, LEDGER.ran].min if ORDER["limit"] > 0
  finish(jobs)
  stop.call
  judge(jobs)
end

def sustain(session)
  start
  stop = session.work
  jobs = produce(session, [ORDER["callers"], 16].min, 1) { |made| made - LEDGER.ran > 1000 }
  await(session, jobs)
  finish(jobs)
  stop.call
  judge(jobs)
end

def latency(session)
  stop = session.work
  sleep 0.5
  start
  due = now
  ORDER["jobs"].times do |i|
    sleep [due - now, 0].max
    LEDGER.sent[i] = now
    session.enqueue(ORDER["first"] + i)
    due += 0.01
  end
  await(session, ORDER["jobs"])
  finish(ORDER["jobs"])
  stop.call
  @reply[:latencies] = LEDGER.took
  judge(ORDER["jobs"])
end

begin
  Sidekiq.logger = Logger.new(File::NULL)
  Sidekiq.configure_server { |config| config.redis = {url: ORDER["address"], size: 40} }
  Sidekiq.configure_client { |config| config.redis = {url: ORDER["address"], size: 40} }
  Sidekiq.redis(&:ping)
  session = Session.new
  case ORDER["action"]
  when "fill"
    start
    put(session)
    finish(ORDER["jobs"])
  when "enqueue" then enqueue_only(session, ORDER["callers"], 1)
  when "bulk" then enqueue_only(session, 1, 1000)
  when "drain" then drain(session)
  when "sustain" then sustain(session)
  when "latency" then latency(session)
  end
  say(@reply)
rescue => e
  say(fault: e.message.lines.first.to_s.strip)
end
exit!(0)
