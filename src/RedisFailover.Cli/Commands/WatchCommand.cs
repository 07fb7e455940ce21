using System.CommandLine;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RedisFailover.Cli.Cluster;
using RedisFailover.ZooKeeper;

namespace RedisFailover.Cli.Commands;

/// <summary>
/// watch: the present topology, then each change as it happens, until Ctrl-C: in a pipe a line each, on a terminal below the status.
/// </summary>
internal static class WatchCommand
{
    private static readonly JsonWriterOptions OneLine = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static Command Create()
    {
        CommonOptions common = new();
        Command command =
            common.AddTo(new Command("watch",
                "Follow the cluster until Ctrl-C: on a terminal the status, redrawn at each change; in a pipe one line a change"));
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

        if (!json && WatchScreen.IsTerminal(output))
        {
            return await DrawAsync(client, connection, new WatchScreen(connection, timeout, output), ct);
        }

        await FollowAsync(client, connection, json, output.WriteLine, log.WriteLine, ct);
        return CommandLine.Done;
    }

    /// <summary>The status, drawn anew at each change, and the changes below it.</summary>
    private static async Task<int> DrawAsync(
        ZooKeeperClient client, ZooKeeperConnectionString connection, WatchScreen screen, CancellationToken ct)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(ct);
        await using WatchedValue problems = client.Watch(new ZnodePaths("").Problems);
        problems.Changed += _ => screen.Redraw();
        Task following = FollowAsync(client, connection, json: false, screen.Add, screen.Add, ending.Token);
        try
        {
            await screen.RunAsync(ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Ctrl-C is how this command ends.
        }
        finally
        {
            await ending.CancelAsync();
            await following;
        }

        return CommandLine.Done;
    }

    /// <summary>Tells each change of the topology, and each of the connection, in a line.</summary>
    private static async Task FollowAsync(ZooKeeperClient client, ZooKeeperConnectionString connection, bool json,
        Action<string> tell, Action<string> tellOfConnection, CancellationToken ct)
    {
        client.StateChanged += state =>
        {
            if (!ct.IsCancellationRequested)
            {
                tellOfConnection($"{Texts.Utc(TimeProvider.System.GetUtcNow())} ZooKeeper: {state}");
            }
        };
        await using WatchedValue nodes = client.Watch(new ZnodePaths("").Nodes);
        try
        {
            await foreach (Znode? znode in nodes.ChangesAsync(ct))
            {
                tell(Line(TimeProvider.System.GetUtcNow(), connection, znode, json));
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // Ctrl-C is how this command ends.
        }
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
