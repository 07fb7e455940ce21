using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>watch: the present topology, then each change as it happens, until Ctrl-C.</summary>
internal static class WatchCommand
{
    private static readonly JsonWriterOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static Command Create()
    {
        CommonOptions common = new();
        Command command =
            common.AddTo(new Command("watch", "Print each change of the topology as it happens, one line each, until Ctrl-C"));
        command.SetAction((parsed, ct) => WatchAsync(
            common.ConnectionOf(parsed),
            common.TimeoutOf(parsed),
            parsed.GetValue(common.Json),
            parsed.InvocationConfiguration.Output,
            parsed.InvocationConfiguration.Error,
            ct));
        return command;
    }

    private static async Task<int> WatchAsync(
        ZooKeeperConnectionString connection, TimeSpan timeout, bool json, TextWriter output, TextWriter errors, CancellationToken ct)
    {
        await using ZooKeeperClient client = new(ZooKeeperAccess.Options(connection));
        TextWriter log = TextWriter.Synchronized(errors);
        try
        {
            await ZooKeeperWait.NotSilentAsync(client.GetSessionAsync(ct).AsTask().WaitAsync(timeout, ct), connection, log, ct);
        }
        catch (TimeoutException e)
        {
            throw await ZooKeeperWait.UnreachableAsync(connection, timeout, ct, e);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            return CommandLine.Done;
        }

        client.StateChanged += state =>
        {
            if (!ct.IsCancellationRequested)
            {
                log.WriteLine($"{Texts.Utc(TimeProvider.System.GetUtcNow())} ZooKeeper: {state}");
            }
        };
        await using WatchedValue nodes = client.Watch(new ZnodePaths("").Nodes);
        try
        {
            await foreach (Znode? znode in nodes.ChangesAsync(ct))
            {
                await output.WriteLineAsync(Line(TimeProvider.System.GetUtcNow(), connection, znode, json));
                await output.FlushAsync(ct);
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Ctrl-C is how this command ends.
        }

        return CommandLine.Done;
    }

    private static string Line(DateTimeOffset seen, ZooKeeperConnectionString connection, Znode? znode, bool json)
        => json ? Json(seen, znode?.Data)
            : znode is null ? $"{Texts.Utc(seen)} {ClusterReader.NoTopology(connection).Message}"
            : Line(seen, znode.Data);

    /// <summary>What cannot be read is told, and the leading monitor writes it again.</summary>
    private static string Line(DateTimeOffset seen, ReadOnlyMemory<byte> topology)
    {
        try
        {
            return Texts.Line(seen, TopologyJson.Parse(topology));
        }
        catch (FormatException e)
        {
            return $"{Texts.Utc(seen)} {e.Message}";
        }
    }

    private static string Json(DateTimeOffset seen, ReadOnlyMemory<byte>? topology)
    {
        using MemoryStream buffer = new();
        using (Utf8JsonWriter writer = new(buffer, OneLine))
        {
            writer.WriteStartObject();
            writer.WriteString("seenAt", Texts.Utc(seen));
            writer.WritePropertyName("topology");
            if (topology is { } json)
            {
                RedisFailover.Json.WriteZnode(writer, json);
            }
            else
            {
                writer.WriteNullValue();
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}
