using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;

namespace RedisFailover.Client.Generator;

/// <summary>How a member can be called: what the generator is able to do for it follows from this.</summary>
internal enum Shape
{
    /// <summary>Returns its result: sent again, if need be, on the caller's thread.</summary>
    Blocking,

    /// <summary>Returns a Task: its arguments are kept, so that it can be sent again later.</summary>
    Async,

    /// <summary>Enumerates, or takes a span: one node from its beginning to its end.</summary>
    Direct,
}

/// <summary>
/// One method of the interface, as text: no symbol outlives the transform, or incremental builds would hold on to compilations.
/// </summary>
internal sealed class FacadeMember
{
    private static readonly SymbolDisplayFormat s_type = SymbolDisplayFormat.FullyQualifiedFormat;

    public FacadeMember(IMethodSymbol method, string callType)
    {
        Name = method.Name;
        Interface = method.ContainingType.ToDisplayString(s_type);
        ReturnType = method.ReturnType.ToDisplayString(s_type);
        ReturnsVoid = method.ReturnsVoid;
        IsObsolete = method.GetAttributes().Any(attribute => attribute.AttributeClass?.Name == "ObsoleteAttribute");
        CallType = callType;
        var parameters = new List<Argument>();
        foreach (IParameterSymbol parameter in method.Parameters)
        {
            string type = parameter.Type.ToDisplayString(s_type);
            string modifier = parameter.RefKind switch { RefKind.None => "", RefKind.In => "in ", RefKind.Out => "out ", _ => "ref " };
            parameters.Add(new Argument(type, "@" + parameter.Name, modifier));
        }

        Parameters = parameters;
        Flags = parameters.FirstOrDefault(p => p.Type == "global::StackExchange.Redis.CommandFlags")?.Name;
        bool keepable = method.Parameters.All(p => p.RefKind == RefKind.None && !p.Type.IsRefLikeType);
        string definition = method.ReturnType.OriginalDefinition.ToDisplayString();
        IsSequence = IsEnumerable(method.ReturnType);
        if (!keepable || method.IsGenericMethod || IsSequence)
        {
            Shape = Shape.Direct;
        }
        else if (definition == "System.Threading.Tasks.Task<TResult>")
        {
            Shape = Shape.Async;
            Result = ((INamedTypeSymbol)method.ReturnType).TypeArguments[0].ToDisplayString(s_type);
        }
        else if (definition == "System.Threading.Tasks.Task")
        {
            Shape = Shape.Async;
        }
        else
        {
            Shape = Shape.Blocking;
        }
    }

    public string Name { get; }

    public string Interface { get; }

    public string ReturnType { get; }

    public bool ReturnsVoid { get; }

    /// <summary>Then what is emitted is too: else it could not hand the call on.</summary>
    public bool IsObsolete { get; }

    public Shape Shape { get; }

    /// <summary>Whether it enumerates: then what it gives is not read yet.</summary>
    public bool IsSequence { get; }

    /// <summary>Whether it enumerates asynchronously: then its node is waited for where the first item is.</summary>
    public bool IsAsyncSequence
        => ReturnType.StartsWith("global::System.Collections.Generic.IAsyncEnumerable<", System.StringComparison.Ordinal);

    /// <summary>The T of Task&lt;T&gt;; null for a bare Task and for what is not asynchronous.</summary>
    public string? Result { get; }

    public IReadOnlyList<Argument> Parameters { get; }

    /// <summary>The name of the CommandFlags parameter, if there is one.</summary>
    public string? Flags { get; }

    /// <summary>The struct that keeps the arguments of an asynchronous call.</summary>
    public string CallType { get; }

    /// <summary>The name in routing.txt: without Async, since both forms send the same command.</summary>
    public string RoutingName => Name.EndsWith("Async", System.StringComparison.Ordinal) ? Name.Substring(0, Name.Length - 5) : Name;

    private static bool IsEnumerable(ITypeSymbol type)
        => type.Name is "IEnumerable" or "IAsyncEnumerable" && type is INamedTypeSymbol { IsGenericType: true };

    internal sealed class Argument
    {
        public Argument(string type, string name, string modifier)
        {
            Type = type;
            Name = name;
            Modifier = modifier;
        }

        public string Type { get; }

        public string Name { get; }

        public string Modifier { get; }
    }
}
