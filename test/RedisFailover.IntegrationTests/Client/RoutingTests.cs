using System.Reflection;
using NUnit.Framework;
using RedisFailover.Client;
using RedisFailover.IntegrationTests.Harness;
using StackExchange.Redis;

namespace RedisFailover.IntegrationTests.Client;

[TestFixture]
public sealed class RoutingTests
{
    // A connection's own traffic (SCRIPT LOAD too), and what COMMAND INFO is asked with.
    private static readonly HashSet<string> s_own =
        ["ping", "info", "config", "client", "echo", "select", "cluster", "command", "sentinel", "auth", "hello", "script"];

    // Commands that Redis 7.0 does not know yet.
    private static readonly HashSet<string> s_newer =
    [
        "VISMEMBER", "VDIM", "VEMB", "VGETATTR", "VLINKS", "VINFO", "VCARD", "VRANDMEMBER", "VSIM", "HPEXPIRETIME", "HPTTL",
        "MSETEX", "HEXPIRE", "HEXPIREAT", "HGETDEL", "HGETEX", "HPERSIST", "HPEXPIRE", "HPEXPIREAT", "HSETEX", "VADD", "VREM", "VSETATTR",
    ];

    [Test]
    public async Task The_table_agrees_with_what_the_server_says_of_its_own_commands()
    {
        await using RedisServer redis = await RedisServer.StartAsync();
        List<string> wrong = [];
        foreach ((CommandClass kind, string member, string[] commands) in RoutingTable.All)
        {
            foreach (string command in commands)
            {
                HashSet<string>? flags = await FlagsAsync(redis, command);
                if (flags is null)
                {
                    if (!s_newer.Contains(command))
                    {
                        wrong.Add($"{member}: the server knows no {command}");
                    }
                }
                else if (kind != CommandClass.Write && flags.Contains("write"))
                {
                    wrong.Add($"{member}: {command} writes and is listed as {kind}");
                }
            }
        }

        Assert.That(wrong, Is.Empty);
    }

    [Test]
    public async Task Every_member_sends_its_writes_to_the_master_and_its_reads_to_the_replica()
    {
        // Two servers that do not replicate, so that each one's statistics hold only what the client sent to it.
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer replica = await RedisServer.StartAsync();
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, master.Address, replica.Address));
        await using FailoverConnection connection =
            await Connected.ToAllAsync(topology, new FailoverOptions { ConfigureNode = node => node.AllowAdmin = true });
        IDatabase database = connection.GetDatabase();
        await using RedisWire atMaster = await master.ConnectAsync();
        await using RedisWire atReplica = await replica.ConnectAsync();
        Dictionary<string, HashSet<string>?> flags = [];
        List<string> wrong = [];
        int driven = 0;
        List<string> undriven = [];
        foreach (MethodInfo method in Members())
        {
            await atMaster.CommandAsync(["CONFIG", "RESETSTAT"]);
            await atReplica.CommandAsync(["CONFIG", "RESETSTAT"]);
            if (!await DriveAsync(method, database))
            {
                undriven.Add(method.ToString()!);
                continue;
            }

            string[] toMaster = await CommandsAsync(atMaster);
            string[] toReplica = await CommandsAsync(atReplica);
            if (toMaster.Length + toReplica.Length == 0)
            {
                // Nothing is sent for some of the arguments that are made up here.
                undriven.Add(method.ToString()!);
                continue;
            }

            driven++;
            foreach (string command in toMaster.Concat(toReplica))
            {
                flags.TryAdd(command, await FlagsAsync(master, command));
            }

            wrong.AddRange(toReplica.Where(command => flags[command]!.Contains("write"))
                .Select(command => $"{method}: the write {command} went to the replica"));
            string name = method.Name.EndsWith("Async", StringComparison.Ordinal) ? method.Name[..^5] : method.Name;
            (CommandClass Class, string Member, string[] Commands)? row = RoutingTable.All.Where(row => row.Member == name)
                .Select(row => ((CommandClass, string, string[])?)row).SingleOrDefault();
            bool meansToBeThere = row?.Class == CommandClass.Write;
            wrong.AddRange(toMaster.Concat(toReplica)
                .Where(command => row is { } listed && !listed.Commands.Contains(command, StringComparer.OrdinalIgnoreCase))
                .Select(command => $"{method}: sends {command}, which its row does not list"));
            if (toMaster.Length > 0 && !meansToBeThere && toMaster.All(command => flags[command]!.Contains("readonly")))
            {
                wrong.Add($"{method}: only reads ({string.Join(" ", toMaster)}), and yet went to the master");
            }

            if (toMaster.Length + toReplica.Length == 0)
            {
                wrong.Add($"{method}: reached no node");
            }
        }

        TestContext.Out.WriteLine($"{driven} members driven, {undriven.Count} not: {string.Join("; ", undriven)}");
        Assert.That(wrong, Is.Empty);
        Assert.That(driven, Is.GreaterThan(230));
    }

    [Test]
    public async Task The_flags_of_the_caller_win()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer replica = await RedisServer.StartAsync();
        await master.CommandAsync("SET", "where", "master");
        await replica.CommandAsync("SET", "where", "replica");
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, master.Address, replica.Address));
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, null);
        IDatabase database = connection.GetDatabase();
        Assert.That((string?)database.StringGet("where"), Is.EqualTo("replica"));
        Assert.That((string?)database.StringGet("where", CommandFlags.DemandMaster), Is.EqualTo("master"));
        Assert.That((string?)database.StringGet("where", CommandFlags.DemandReplica), Is.EqualTo("replica"));
        Assert.That((string?)await database.ScriptEvaluateAsync("return redis.call('get', 'where')"), Is.EqualTo("master"));
        Assert.That((string?)await database.ScriptEvaluateAsync("return redis.call('get', 'where')", flags: CommandFlags.PreferReplica),
            Is.EqualTo("replica"));
        Assert.That((string?)database.Execute("GET", "where"), Is.EqualTo("replica"));
        Assert.That((string?)database.Execute("get", ["where"], CommandFlags.DemandMaster), Is.EqualTo("master"));
        Assert.That((string?)database.Execute("GETEX", "where"), Is.EqualTo("master"));
        Assert.That(() => database.StringSet("where", "?", flags: CommandFlags.DemandReplica), Throws.ArgumentException);
        Assert.That(() => database.Execute("BLPOP", "list", 1), Throws.TypeOf<NotSupportedException>());
        Assert.That(()
            => database.ExecuteAsync("xreadgroup", "GROUP", "g", "me", "BLOCK", 0, "STREAMS", "s", ">"),
                Throws.TypeOf<NotSupportedException>());
        Assert.That(() => database.CreateBatch().ExecuteAsync("BLPOP", "list", 1), Throws.TypeOf<NotSupportedException>());
        ITransaction transaction = database.CreateTransaction();
        Task<RedisResult> inside = transaction.ExecuteAsync("BLPOP", "list", 1);
        Assert.That(await transaction.ExecuteAsync(), Is.True, "inside MULTI it does not block");
        Assert.That((await inside).IsNull, Is.True);
    }

    /// <summary>
    /// Those that the test of every member leaves out: they send nothing of their own, or nothing that the servers count, or need something
    /// else than arguments. Batches and transactions, the rest of them, have tests of their own.
    /// </summary>
    [Test]
    public async Task The_members_that_cannot_be_driven_like_the_others_work_too()
    {
        await using ReplicatedRedis redis = await ReplicatedRedis.StartAsync(replicas: 1);
        await using RedisServer elsewhere = await RedisServer.StartAsync();
        IDatabase database = redis.Connection.GetDatabase();
        Assert.That(database.Ping(), Is.GreaterThan(TimeSpan.Zero));
        Assert.That(await database.PingAsync(), Is.GreaterThan(TimeSpan.Zero));
        Assert.That(database.IsConnected("key"), Is.True);
        Assert.That(database.Database, Is.Zero);
        Assert.That(database.Multiplexer.IsConnected, Is.True);
        Assert.That(database.IdentifyEndpoint("key", CommandFlags.DemandMaster)!.ToString(), Does.EndWith($":{redis.Master.Port}"));
        Assert.That((await database.IdentifyEndpointAsync("key", CommandFlags.DemandMaster))!.ToString(),
            Does.EndWith($":{redis.Master.Port}"));

        Task<bool> one = database.StringSetAsync("one", 1);
        Assert.That(database.Wait(one), Is.True);
        Task two = database.StringSetAsync("two", 2);
        database.Wait(two);
        Assert.That(database.TryWait(one), Is.True);
        database.WaitAll(one, two);
        Assert.That((string?)database.Execute("ECHO", "a") + (string?)database.Execute("ECHO", ["b"], CommandFlags.None), Is.EqualTo("ab"));
        Assert.That((string?)await database.ExecuteAsync("ECHO", "a")
            + (string?)await database.ExecuteAsync("ECHO", ["b"], CommandFlags.None), Is.EqualTo("ab"));

        System.Net.IPEndPoint target = new(System.Net.IPAddress.Loopback, elsewhere.Port);
        database.KeyMigrate("one", target);
        await database.KeyMigrateAsync("two", target);
        Assert.That((await elsewhere.CommandAsync("EXISTS", "one", "two")).Text, Is.EqualTo("2"));

        LoadedLuaScript loaded = LuaScript.Prepare("return @value")
            .Load(database.Multiplexer.GetServer(database.Multiplexer.GetEndPoints()[0]));
        Assert.That((int)database.ScriptEvaluate(loaded, new { value = 5 }), Is.EqualTo(5));
        Assert.That((int)await database.ScriptEvaluateAsync(loaded, new { value = 6 }), Is.EqualTo(6));
        await redis.FailOverAsync(redis.Servers[1]);
        await redis.Servers[1].CommandAsync("SCRIPT", "FLUSH");
        string? answered;
        try
        {
            answered = (string?)await database.ScriptEvaluateAsync(loaded, new { value = 7 });
        }
        catch (RedisServerException unknown)
        {
            answered = unknown.Message;
        }

        // It was loaded on one node; the library may send the text itself where the script is not.
        Assert.That(answered, Does.StartWith("NOSCRIPT").Or.EqualTo("7"));
        loaded = LuaScript.Prepare("return @value").Load(database.Multiplexer.GetServer(database.Multiplexer.GetEndPoints()[0]));
        Assert.That((int)database.ScriptEvaluate(loaded, new { value = 8 }), Is.EqualTo(8));
    }

    [TestCase("PreferReplica", "replica")]
    [TestCase("Replica", "replica")]
    [TestCase("Master", "master")]
    public async Task Reads_go_where_the_option_says(string option, string expected)
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer replica = await RedisServer.StartAsync();
        await master.CommandAsync("SET", "where", "master");
        await replica.CommandAsync("SET", "where", "replica");
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, master.Address, replica.Address));
        var options = new FailoverOptions { ReadFrom = Enum.Parse<ReadFrom>(option), WriteWait = TimeSpan.FromMilliseconds(200) };
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, options);
        IDatabase database = connection.GetDatabase();
        Assert.That((string?)await database.StringGetAsync("where"), Is.EqualTo(expected));

        topology.Publish(PublishedTopology.Of(1, master.Address));
        await Eventually.HoldsAsync("the replica is gone", () => connection.Topology.Replicas.IsEmpty);
        if (option == "Replica")
        {
            await Failing.WithAsync<NotAppliedException>(() => database.StringGetAsync("where"));
        }
        else
        {
            Assert.That((string?)await database.StringGetAsync("where"), Is.EqualTo("master"));
        }
    }

    [Test]
    public async Task Reads_are_spread_evenly_over_the_replicas()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer one = await RedisServer.StartAsync();
        await using RedisServer two = await RedisServer.StartAsync();
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, master.Address, one.Address, two.Address));
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, null);
        IDatabase database = connection.GetDatabase();
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 1000; i++)
            {
                await database.StringGetAsync("key");
            }
        })));
        double first = await CallsAsync(one);
        double second = await CallsAsync(two);
        Assert.That(first + second, Is.EqualTo(20_000));
        Assert.That(first / 20_000, Is.EqualTo(0.5).Within(0.02));
    }

    [Test]
    public async Task Reads_keep_away_from_a_replica_that_lags_too_far_and_come_back_when_it_has_caught_up()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using FaultProxy link = FaultProxy.Start(master.Address);
        await using RedisServer replica = await RedisServer.StartAsync(new RedisServerOptions { ReplicaOf = link.Address });
        await Eventually.HoldsAsync("it follows", ct => replica.InfoAsync("replication", ct), info => info["master_link_status"] == "up");
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, master.Address, replica.Address));
        var options = new FailoverOptions { MaxReplicaLag = TimeSpan.FromMilliseconds(400) };
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, options);
        IDatabase database = connection.GetDatabase();
        await ReadsComeFromAsync(replica.Address, "it has everything");

        link.Set(LinkState.BlackHole);
        await database.StringSetAsync("key", 1);
        await ReadsComeFromAsync(master.Address, "it lacks a write");
        Assert.That(connection.Nodes.Current.NodeFor(CommandClass.Read, CommandFlags.DemandReplica), Is.Null,
            "a read that demands a replica waits");

        link.Set(LinkState.Healthy);
        link.Reset();
        await ReadsComeFromAsync(replica.Address, "it has caught up");
        Assert.That((int)await database.StringGetAsync("key"), Is.EqualTo(1));

        Task ReadsComeFromAsync(NodeAddress node, string why)
            => Eventually.HoldsAsync(
                why, ()
                    => connection.Nodes.Current.NodeFor(CommandClass.Read, CommandFlags.None)?.Address == node, TimeSpan.FromSeconds(60));
    }

    [Test]
    public async Task Reads_go_to_the_node_that_answers_fastest_or_that_is_preferred()
    {
        await using RedisServer master = await RedisServer.StartAsync();
        await using RedisServer near = await RedisServer.StartAsync();
        await using FaultProxy far = FaultProxy.Start(near.Address);
        await using FaultProxy slowMaster = FaultProxy.Start(master.Address);
        var topology = new PublishedTopology();
        topology.Publish(PublishedTopology.Of(1, slowMaster.Address, near.Address, far.Address));
        var nearest = new FailoverOptions { ReadFrom = ReadFrom.Nearest, OperationTimeout = TimeSpan.FromSeconds(2) };
        await using FailoverConnection connection = await Connected.ToAllAsync(topology, nearest);
        far.Set(new LinkState(true, true, TimeSpan.FromMilliseconds(200)));
        slowMaster.Set(new LinkState(true, true, TimeSpan.FromMilliseconds(200)));
        await Eventually.HoldsAsync("the nearest is known", ()
            => connection.Nodes.Current.NodeFor(CommandClass.Read, CommandFlags.None)?.Address == near.Address, TimeSpan.FromSeconds(60));

        var preferring = new FailoverOptions { PreferNode = node => node == far.Address };
        var same = new PublishedTopology();
        same.Publish(PublishedTopology.Of(1, slowMaster.Address, near.Address, far.Address));
        await using FailoverConnection other = await Connected.ToAllAsync(same, preferring);
        await Eventually.HoldsAsync("the preferred one is connected", () => other.Nodes.Current.Replicas.Length == 2);
        await other.GetDatabase().StringGetAsync("key");
        Assert.That(Enumerable.Range(0, 50).Select(_ => other.Nodes.Current.NodeFor(CommandClass.Read, CommandFlags.None)!.Address),
            Has.All.EqualTo(far.Address));
    }

    private static async Task<double> CallsAsync(RedisServer server)
        => double.Parse((await server.InfoAsync("commandstats"))["cmdstat_get"].Split('=', ',')[1]);

    private static IEnumerable<MethodInfo> Members()
        => typeof(IDatabase).GetInterfaces().Append(typeof(IDatabase))
            .SelectMany(type => type.GetMethods())
            .Where(method => !method.IsSpecialName
                && method.Name is not (
                    "Wait" or "TryWait" or "WaitAll" or "CreateBatch" or "CreateTransaction" or "KeyMigrate" or "KeyMigrateAsync" or "IsConnected" or "IdentifyEndpoint" or "IdentifyEndpointAsync")
                && !method.GetParameters().Any(parameter => parameter.ParameterType == typeof(LoadedLuaScript))
                && !(method.Name.StartsWith("Ping", StringComparison.Ordinal)
                    || method.Name.StartsWith("Execute", StringComparison.Ordinal)));

    private static async Task<bool> DriveAsync(MethodInfo method, IDatabase database)
    {
        object?[] arguments = [.. method.GetParameters().Select(parameter => Argument(parameter.ParameterType, parameter.Name!))];
        try
        {
            object? result = method.Invoke(database, arguments);
            if (result is Task task)
            {
                await task;
            }
            else if (result is System.Collections.IEnumerable many and not string)
            {
                foreach (object? _ in many)
                {
                }
            }
        }
        catch (Exception failure) when (Root(failure) is RedisServerException refused
            && refused.Message.Contains("unknown command", StringComparison.OrdinalIgnoreCase))
        {
            // A command of a newer server, which this one does not count and has no flags for.
            return false;
        }
        catch (Exception failure) when (Root(failure) is RedisServerException)
        {
            // WRONGTYPE and the like: it reached a server, which is what is asked here.
        }
        catch (Exception failure) when (Root(failure) is ArgumentException or NullReferenceException)
        {
            // The arguments of some members are not known here.
            return false;
        }

        return true;
    }

    private static Exception Root(Exception failure)
        => failure is TargetInvocationException { InnerException: { } inner } ? inner : failure;

    private static object? Argument(Type type, string name) => type switch
    {
        _ when type == typeof(RedisKey) => (RedisKey)("key" + name),
        _ when type == typeof(RedisKey[]) => new RedisKey[] { "one", "two" },
        _ when type == typeof(RedisValue) => (RedisValue)1,
        _ when type == typeof(RedisValue[]) => new RedisValue[] { 1, 2 },
        _ when type == typeof(RedisChannel) => RedisChannel.Literal("channel"),
        _ when type == typeof(HashEntry[]) => new HashEntry[] { new(1, 1) },
        _ when type == typeof(SortedSetEntry[]) => new SortedSetEntry[] { new(1, 1) },
        _ when type == typeof(GeoEntry[]) => new GeoEntry[] { new(1, 1, "here") },
        _ when type == typeof(GeoEntry) => new GeoEntry(1, 1, "here"),
        _ when type == typeof(KeyValuePair<RedisKey, RedisValue>[]) => new KeyValuePair<RedisKey, RedisValue>[] { new("one", 1) },
        _ when type == typeof(string) => "return 1",
        _ when type == typeof(byte[]) => new byte[20],
        _ when type == typeof(LuaScript) => LuaScript.Prepare("return 1"),
        _ when type == typeof(int) && name == "database" => 1,
        _ when type == typeof(int) => 10,
        _ when type == typeof(long) => name is "cursor" or "skip" ? 0L : 1L,
        _ when type == typeof(double) => 1d,
        _ when type == typeof(bool) => true,
        _ when type == typeof(TimeSpan) || type == typeof(TimeSpan?) => TimeSpan.FromSeconds(100),
        _ when type == typeof(DateTime?) => new DateTime(2100, 1, 1, 0, 0, 0, DateTimeKind.Utc),
        _ when type == typeof(double[]) => new double[] { 1, 1 },
        _ when type.IsValueType => Activator.CreateInstance(type),
        _ => null,
    };

    private static async Task<HashSet<string>?> FlagsAsync(RedisServer redis, string command)
    {
        RedisReply info = (await redis.CommandAsync("COMMAND", "INFO", command))[0];
        return info.Items.IsDefaultOrEmpty ? null : [.. info[2].Items.Select(flag => flag.Text!)];
    }

    private static async Task<string[]> CommandsAsync(RedisWire server)
        => [.. (await server.CommandAsync(["INFO", "commandstats"])).Text!.Split("\r\n")
            .Where(line => line.StartsWith("cmdstat_", StringComparison.Ordinal))
            .Select(line => line["cmdstat_".Length..line.IndexOf(':', StringComparison.Ordinal)].Split('|')[0])
            .Where(command => !s_own.Contains(command))
            .Distinct()];
}
