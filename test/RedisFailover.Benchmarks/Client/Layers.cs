using System.Reflection;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// What the facade adds to a call, without any network: the node's database is a facade too, and that one's node a stub that answers. One
/// layer is the difference between "two" and "one". "--filter *Layers*".
/// </summary>
[MemoryDiagnoser]
[Config(typeof(ShortInProcess))]
public class Layers
{
    private static readonly RedisKey s_key = "key";
    private Stub _behind = null!;
    private IDatabase _one = null!;
    private IDatabase _two = null!;

    /// <summary>A facade over a stub, and a facade over such a one.</summary>
    [GlobalSetup]
    public void SetUp()
    {
        IDatabase stub = DispatchProxy.Create<IDatabase, Stub>();
        _behind = (Stub)(object)stub;

        var options = new FailoverOptions();
        _one = Facade(stub, options);
        _two = Facade(_one, options);
    }

    /// <summary>A blocking call.</summary>
    [Benchmark]
    public RedisValue Blocking_one() => _one.StringGet(s_key);

    /// <inheritdoc cref="Blocking_one"/>
    [Benchmark]
    public RedisValue Blocking_two() => _two.StringGet(s_key);

    /// <summary>An asynchronous call whose reply is there at once.</summary>
    [Benchmark]
    public Task Completed_one() => _one.StringGetAsync(s_key);

    /// <inheritdoc cref="Completed_one"/>
    [Benchmark]
    public Task Completed_two() => _two.StringGetAsync(s_key);

    /// <summary>An asynchronous call that has to wait for its reply.</summary>
    [Benchmark]
    public Task Pending_one() => Pending(_one);

    /// <inheritdoc cref="Pending_one"/>
    [Benchmark]
    public Task Pending_two() => Pending(_two);

    private Task Pending(IDatabase database)
    {
        var reply = new TaskCompletionSource<RedisValue>();
        _behind.Reply = reply.Task;
        Task call = database.StringGetAsync(s_key);
        reply.SetResult(default);
        _behind.Reply = null;
        return call;
    }

    /// <summary>A database whose only node, master of all, is the stub.</summary>
    private static FailoverDatabase Facade(IDatabase stub, FailoverOptions options)
    {
        var nodes = new NodeSet(options, NullLogger.Instance);
        var node = (LiveNode)RuntimeHelpers.GetUninitializedObject(typeof(LiveNode));
        node.IsPreferred = true;
        IDatabase?[] databases = new IDatabase?[17];
        databases[0] = stub;
        Field(typeof(LiveNode), "_databases").SetValue(node, databases);
        Field(typeof(NodeSet), "_current").SetValue(nodes, new Snapshot(new Topology { Epoch = 1 }, node, [], ReadFrom.PreferReplica));
        return new FailoverDatabase(nodes, -1, null);
    }

    private static FieldInfo Field(Type type, string name) => type.GetField(name, BindingFlags.NonPublic | BindingFlags.Instance)!;

    /// <summary>Answers GET at once, or when the benchmark says so.</summary>
    public class Stub : DispatchProxy
    {
        private static readonly Task<RedisValue> s_answered = Task.FromResult<RedisValue>(1);
        private static readonly object s_value = (RedisValue)1;

        /// <summary>The answer to give; null for one at once.</summary>
        public Task<RedisValue>? Reply { get; set; }

        /// <inheritdoc/>
        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
            => targetMethod!.ReturnType == typeof(RedisValue) ? s_value : Reply ?? s_answered;
    }
}
