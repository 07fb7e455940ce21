using System.CommandLine;
using RedisFailover.Cli.Cluster;
using RedisFailover.Cli.Load;
using RedisFailover.Client;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>load: drives writes and reads through the client library and tells what they met with.</summary>
internal static class LoadCommand
{
    private static readonly TimeSpan ShortestGap = TimeSpan.FromMilliseconds(100);

    internal static Command Create()
    {
        CommonOptions common = new(most: TimeSpan.FromMinutes(10));
        Option<double> rate = CommonOptions.Number("--rate", "Writes per second", 100, 0.1, 100_000);
        Option<double> reads = CommonOptions.Number("--reads", "Reads per second (default: as many as writes)", null, 0, 100_000);
        Option<TimeSpan?> duration =
            Durations.Option("--duration", "For how long (default: until Ctrl-C)", null, TimeSpan.FromMilliseconds(100),
                TimeSpan.FromSeconds(1_000_000));
        Option<TimeSpan?> gap = Durations.Option(
            "--gap", "Print gaps between two acknowledged writes that are longer than this", ShortestGap,
                TimeSpan.FromMilliseconds(1), TimeSpan.FromMinutes(1), bare: "ms");
        Command command = common.AddTo(new Command(
            "load",
            $"Write and read through the client library; tell errors, gaps, and how many acknowledged writes are missing at the end. "
                + $"How to log in to Redis, by the environment: {Texts.List(ZooKeeperAccess.RedisVariables)}")
        {
            rate, reads, duration, gap,
        });
        command.SetAction(async (parsed, ct) =>
        {
            double writes = parsed.GetValue(rate);
            LoadOptions options = new(
                writes,
                parsed.GetResult(reads) is null ? writes : parsed.GetValue(reads),
                parsed.GetValue(duration),
                parsed.GetValue(gap) ?? ShortestGap);
            LoadLog log = new(parsed.InvocationConfiguration.Output, parsed.GetValue(common.Json), TimeProvider.System);
            return await RunAsync(
                common.ConnectionOf(parsed), common.TimeoutOf(parsed), options, log, parsed.InvocationConfiguration.Error, ct);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ZooKeeperConnectionString zooKeeper, TimeSpan timeout, LoadOptions options, LoadLog log, TextWriter errors, CancellationToken ct)
    {
        FailoverOptions client = ZooKeeperAccess.Client(timeout);
        using CancellationTokenSource connecting = CancellationTokenSource.CreateLinkedTokenSource(ct);
        try
        {
            await using FailoverConnection connection = await ZooKeeperWait.NotSilentAsync(
                FailoverConnection.ConnectAsync(zooKeeper.ToString(), client, connecting.Token), zooKeeper, errors, ct);
            log.Started(options, connection.Topology);
            LoadReport report = await new LoadRun(connection, options, log, TimeProvider.System).RunAsync(ct);
            log.Report(report);
            return report is { Lost: 0, Acknowledged: > 0 } ? CommandLine.Done : CommandLine.Failed;
        }
        catch (FailoverConnectException e)
        {
            throw new CliException(e.Message, inner: e);
        }
        catch (ArgumentException e)
        {
            throw new CliException(e.Message.ReplaceLineEndings(" "), CommandLine.WrongUsage, e);
        }
        finally
        {
            await connecting.CancelAsync();
        }
    }
}
