using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

[TestFixture, NonParallelizable]
public sealed class WarmupTests
{
    /// <summary>
    /// One that gets stuck half-way would leave the rest to be compiled in the first real failover, and nobody would notice.
    /// </summary>
    [Test]
    public async Task It_comes_to_its_end_with_all_its_calls_answered() => Assert.That(await Warmup.RunAsync(), Is.True);

    [Test]
    public async Task It_is_seen_in_no_figure_and_no_trace_and_leaves_no_socket_and_no_unobserved_exception()
    {
        ConcurrentQueue<string> seen = [];
        using var meters = new MeterListener { InstrumentPublished = (instrument, listener) => Listen(instrument, listener) };
        meters.SetMeasurementEventCallback<long>((instrument, _, _, _) => seen.Enqueue(instrument.Name));
        meters.Start();
        using var traces = new ActivityListener
        {
            ShouldListenTo = source => source.Name == FailoverDiagnostics.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStarted = activity => seen.Enqueue(activity.OperationName),
        };
        ActivitySource.AddActivityListener(traces);
        Collect();
        TaskScheduler.UnobservedTaskException += Unobserved;
        try
        {
            int sockets = Sockets();
            await Warmup.RunAsync();
            var waited = Stopwatch.StartNew();
            while (Sockets() > sockets && waited.Elapsed < TimeSpan.FromSeconds(5))
            {
                await Task.Delay(10);
            }

            Collect();
            Assert.That(seen, Is.Empty);
            Assert.That(Sockets(), Is.LessThanOrEqualTo(sockets));
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= Unobserved;
        }

        void Unobserved(object? sender, UnobservedTaskExceptionEventArgs lost) => seen.Enqueue(lost.Exception.ToString());

        static void Listen(Instrument instrument, MeterListener listener)
        {
            if (instrument.Meter.Name == FailoverDiagnostics.MeterName)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        }
    }

    private static void Collect()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
    }

    private static int Sockets() => Directory.Exists("/proc/self/fd")
        ? new DirectoryInfo("/proc/self/fd").GetFiles()
            .Count(file => file.LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true)
        : 0;
}
