using System.Diagnostics;
using System.Globalization;

namespace RedisFailover.Benchmarks.ZooKeeper;

/// <summary>This project's client and the Java one in alternating rounds against the same server; medians and spread.</summary>
internal static class ZooKeeperBenchmark
{
    private const string Usage = "usage: zookeeper --connect host:port --java CLASSPATH [--rounds N] [--scale X] [--soak N] [--only TEXT]";

    // Many short rounds tell more than a few long ones: how the server's threads meet is decided anew in each, and makes a factor of two.
    private static readonly Measurement[] Measurements =
    [
        new("get, sequential", "get 1", 4_000, OneInFlight),
        new("get, 16 in flight", "get 16", 8_000, Pipelined) { Times = 9 },
        new("get, 256 in flight", "get 256", 8_000, Pipelined) { Times = 18 },
        new("set, sequential", "set 1", 2_000, OneInFlight),
        new("set, 16 in flight", "set 16", 8_000, Pipelined) { Times = 9 },
        new("set, 256 in flight", "set 256", 8_000, Pipelined) { Times = 9 },
        new("set to event", "event", 600, Latency),
        new("set until the last of 1,000 watchers is told (100 sessions, 10 each)", "watchers 100 10", 20, Latency),
    ];

    private static string[] OneInFlight => ["op/s", "p50 us", "p99 us", "CPU us/op", "B/op"];

    private static string[] Pipelined => ["op/s", "", "", "CPU us/op", "B/op"];

    private static string[] Latency => ["p50 us", "p99 us"];

    internal static async Task<int> RunAsync(string[] args)
    {
        (string connect, string java, int rounds, double scale, int soak, string only) = ("", "", 11, 1.0, 0, "");
        for (int i = 0; i < args.Length; i += 2)
        {
            string value = i + 1 < args.Length ? args[i + 1] : "";
            switch (args[i])
            {
                case "--connect":
                    connect = value;
                    break;
                case "--java":
                    java = value;
                    break;
                case "--only":
                    only = value;
                    break;
                case "--rounds" when int.TryParse(value, out rounds) && rounds > 0:
                case "--scale" when double.TryParse(value, CultureInfo.InvariantCulture, out scale) && scale > 0:
                case "--soak" when int.TryParse(value, out soak) && soak >= 0:
                    break;
                default:
                    await Console.Error.WriteLineAsync($"bench-zookeeper: {args[i]} {value}: {Usage}");
                    return 2;
            }
        }

        await using OurClient ours = await OurClient.ConnectAsync(connect);
        using var theirs = new JavaProcess(java, connect);
        await theirs.ReadyAsync();
        Console.WriteLine(
            $"{rounds} rounds, alternating, after a warm-up; 128 bytes; nine times as many with several in flight, eighteen times for 256 "
                + $"gets; medians, in brackets the least and the most.");
        foreach (Measurement m in Measurements.Where(m => m.Name.Contains(only, StringComparison.Ordinal)))
        {
            int count = Math.Max(10, (int)(m.Count * scale));
            await OurAsync(ours, m, count);
            await theirs.AskAsync($"{m.Command} {count}");
            List<double[]> our = [];
            List<double[]> their = [];
            for (int round = 0; round < rounds * m.Times; round++)
            {
                // Who goes first changes, so that a drift of the machine or the server hits both.
                if (round % 2 == 0)
                {
                    our.Add(await OurAsync(ours, m, count));
                    their.Add(await theirs.AskAsync($"{m.Command} {count}"));
                }
                else
                {
                    their.Add(await theirs.AskAsync($"{m.Command} {count}"));
                    our.Add(await OurAsync(ours, m, count));
                }
            }

            Print(m, our, their);
        }

        if (only.Length == 0)
        {
            await PrintValueAsync(ours, rounds, Math.Max(10, (int)(600 * scale)));
        }

        if (soak > 0)
        {
            await SoakAsync(ours, soak);
        }

        return 0;
    }

    private static Task<double[]> OurAsync(OurClient ours, Measurement m, int count)
    {
        string[] words = m.Command.Split(' ');
        return words[0] switch
        {
            "event" => ours.EventAsync(count),
            "watchers"
                => ours.WatchersAsync(int.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[2], CultureInfo.InvariantCulture),
                    count),
            _ => ours.OperationsAsync(words[0] == "set", int.Parse(words[1], CultureInfo.InvariantCulture), count),
        };
    }

    private static void Print(Measurement m, List<double[]> our, List<double[]> their)
    {
        Console.WriteLine();
        Console.WriteLine(m.Name);
        for (int i = 0; i < m.Units.Length; i++)
        {
            if (m.Units[i].Length > 0)
            {
                double ratio = Median(our, i) / Median(their, i);
                Console.WriteLine(string.Create(
                    CultureInfo.InvariantCulture,
                        $"  {m.Units[i],-10} ours {Spread(our, i),-28} Java {Spread(their, i),-28} ours/Java {ratio:0.00}"));
            }
        }
    }

    private static async Task PrintValueAsync(OurClient ours, int rounds, int count)
    {
        List<double[]> values = [];
        await ours.ValueAsync(count);
        for (int round = 0; round < rounds; round++)
        {
            values.Add(await ours.ValueAsync(count));
        }

        Console.WriteLine();
        Console.WriteLine("set until a WatchedValue has read the new data");
        Console.WriteLine($"  p50 us     ours {Spread(values, 0)}");
        Console.WriteLine($"  p99 us     ours {Spread(values, 1)}");
    }

    /// <summary>What stays on the heap after very many operations.</summary>
    private static async Task SoakAsync(OurClient ours, int count)
    {
        await ours.OperationsAsync(set: false, 256, 50_000);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        double[] result = await ours.OperationsAsync(set: false, 256, count);
        long after = GC.GetTotalMemory(forceFullCollection: true);
        Console.WriteLine();
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{count} reads, 256 in flight: {result[0]:0} op/s, {result[4]:0} B/op; heap before {before / 1024} KB, after {after / 1024} "
                + $"KB"));
    }

    private static double Median(List<double[]> rounds, int i)
    {
        double[] sorted = [.. rounds.Select(r => r[i]).Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }

    private static string Spread(List<double[]> rounds, int i)
        => string.Create(CultureInfo.InvariantCulture,
            $"{Median(rounds, i):0.#} [{rounds.Min(r => r[i]):0.#} .. {rounds.Max(r => r[i]):0.#}]");

    private sealed record Measurement(string Name, string Command, int Count, string[] Units)
    {
        /// <summary>
        /// With many in flight it depends on how the server's threads happen to meet, which makes a factor of two from one second to the
        /// next: only many short rounds have a median that another run has as well.
        /// </summary>
        internal int Times { get; init; } = 1;
    }

    /// <summary>JavaClient.java, told by its standard input.</summary>
    private sealed class JavaProcess : IDisposable
    {
        private readonly Process _process;

        internal JavaProcess(string classPath, string connect)
        {
            var info =
                new ProcessStartInfo("java") { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
            foreach (string argument in (ReadOnlySpan<string>)["-Xmx512m", "-cp", classPath, "JavaClient", connect])
            {
                info.ArgumentList.Add(argument);
            }

            _process = Process.Start(info)!;
            _process.ErrorDataReceived += (_, _) => { };
            _process.BeginErrorReadLine();
        }

        internal async Task ReadyAsync()
        {
            if (await _process.StandardOutput.ReadLineAsync() != "ready")
            {
                throw new InvalidOperationException("The Java side did not start.");
            }
        }

        internal async Task<double[]> AskAsync(string command)
        {
            await _process.StandardInput.WriteLineAsync(command);
            await _process.StandardInput.FlushAsync();
            string answer = await _process.StandardOutput.ReadLineAsync()
                ?? throw new InvalidOperationException("The Java side has ended.");
            return [.. answer.Split(' ').Select(text => double.Parse(text, CultureInfo.InvariantCulture))];
        }

        public void Dispose()
        {
            _process.Kill();
            _process.Dispose();
        }
    }
}
